import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")  # tests of training compute on two threads, whatever the machine has

from tests import corpora

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> corpora.Corpus:
    """Two categories, a square and a tone each."""
    return corpora.write(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings, published boxes and golden scores that are not part of this repository."""
    if not SHARED.is_dir():
        pytest.skip("no shared/data beside the checkout: real recordings and golden scores are not part of it")
    return SHARED
