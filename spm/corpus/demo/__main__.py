"""python -m spm.corpus.demo --config '{}' --out DIR."""

from spm.base import stage
from spm.corpus.demo.scenario import run

if __name__ == "__main__":
    stage.main(run)
