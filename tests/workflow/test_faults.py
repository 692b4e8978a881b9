"""Whatever is killed, and however often: the next run ends with the bytes of an undisturbed one."""

import shutil
from random import Random

import pytest

from tests.faults import disturb
from tests.project import Project
from tests.slurm import until
from tests.workflow.conftest import begun, results

pytestmark = pytest.mark.slow


def test_a_workflow_killed_at_random_moments_ends_with_the_same_bytes(films, undisturbed, tmp_path):
    """Four here; `python -m tests.faults` kills fifty times."""
    project = begun(films, tmp_path / "project")
    assert disturb(project, 4, Random(1)).total() == 4
    assert results(project) == results(undisturbed)


def test_a_second_snakemake_in_the_same_folder_is_refused(films, tmp_path):
    project = begun(films, tmp_path / "project")
    with project.begun("all", said=tmp_path / "said"):
        until(lambda: any((project.folder / ".snakemake/locks").glob("*")), "a lock", 60)
        second = project.snakemake("all", "--rerun-incomplete")  # without it, the first one's open outputs refuse it
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr


def test_a_table_cut_short_is_named(undisturbed, tmp_path):
    shutil.copytree(undisturbed.folder, tmp_path / "project", copy_function=shutil.copy2)
    project = Project(tmp_path / "project", undisturbed.config)
    table = project.folder / "results/fusion/maps/spm/solo.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    failed = project.snakemake("all", "--forcerun", "scores")
    assert failed.returncode != 0
    assert "solo.parquet is not a whole Parquet file" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
