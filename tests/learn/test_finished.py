import pytest

from spm.learn.finished import Finished, work_digest


@pytest.fixture
def result(tmp_path):
    """A job with one output, which has run."""
    out = tmp_path / "results/network.safetensors"
    out.parent.mkdir()
    out.write_bytes(b"weights")

    def job(key="a", name="spm", number=2):
        return Finished(tmp_path / "finished" / name, number, key, [out])

    return out, job


def test_a_deleted_output_comes_back_with_the_same_bytes(result, capsys):
    out, job = result
    job().keep()
    out.unlink()
    assert job().restore()
    assert out.read_bytes() == b"weights"
    assert "finished/spm/a: nothing that it depends on differs" in capsys.readouterr().err


def test_a_run_with_another_name_gets_the_same_network(result):
    out, job = result
    job().keep()
    out.unlink()
    assert job(name="renamed").restore()
    assert out.is_file()


def test_a_job_that_depends_on_something_else_computes(result):
    _, job = result
    job().keep()
    assert not job("b").restore()


def test_a_damaged_copy_is_not_used(result, tmp_path):
    out, job = result
    job().keep()
    (tmp_path / "finished/spm/a" / out.name).write_bytes(b"weight")
    assert not job().restore()


def test_a_damaged_output_does_not_damage_the_copy(result):
    out, job = result
    job().keep()
    with out.open("r+b") as file:
        file.write(b"X")
    assert job().restore()
    assert out.read_bytes() == b"weights"


def test_the_last_results_are_kept(result):
    _, job = result
    for key in "abc":
        job(key).keep()
    assert [key for key in "abc" if job(key).restore()] == ["b", "c"]


def test_nothing_is_kept_if_the_number_is_0(result, tmp_path):
    _, job = result
    job(number=0).keep()
    assert not job(number=0).restore()
    assert not (tmp_path / "finished").exists()


def test_the_digest_depends_on_every_byte_of_a_file(tmp_path):
    file = tmp_path / "clips.parquet"
    content = bytearray(200_000)
    file.write_bytes(content)
    before = work_digest([file], "{}")
    assert work_digest([file], "{}") == before
    content[1000] = 1  # neither the size nor the end differs
    file.write_bytes(content)
    assert work_digest([file], "{}") != before
    assert work_digest([], "{}") != work_digest([], '{"lr": 1}')
