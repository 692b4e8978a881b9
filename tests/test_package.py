import subprocess
import sys

import pytest

import spm

SCRIPT = """
import sys, spm
assert "torch" not in sys.modules
from spm import localize
assert localize.__name__ == "spm.inference.localize"
"""


@pytest.mark.slow
def test_localize_is_imported_from_the_package_at_its_first_use():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)


def test_a_name_that_the_package_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'spm' has no attribute 'localise'"):
        spm.localise  # noqa: B018
