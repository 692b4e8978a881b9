"""python -m spm.demo --config '{}' --out DIR."""

from spm.base import stage
from spm.demo.scenario import run

if __name__ == "__main__":
    stage.main(run)
