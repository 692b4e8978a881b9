"""Whatever is killed, and however often: the next run ends with the bytes of an undisturbed one."""

from random import Random

import pytest

from tests.faults import disturb
from tests.workflow.conftest import begun, results

pytestmark = pytest.mark.slow


def test_a_workflow_killed_at_random_moments_ends_with_the_same_bytes(films, undisturbed, tmp_path):
    """Four here; `python -m tests.faults` kills fifty times."""
    project = begun(films, tmp_path / "project")
    assert disturb(project, 4, Random(1)).total() == 4
    assert results(project) == results(undisturbed)
