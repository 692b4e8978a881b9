"""`python -m spm.cli` is the same as `spm`."""

from spm.cli import main

if __name__ == "__main__":
    main()
