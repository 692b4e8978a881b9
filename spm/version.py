"""The version of the package: of the distribution, of files that name it, and of `spm --version`."""

VERSION = "0.1.0"
