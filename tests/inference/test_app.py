"""What the page of `spm app` does with a video, without its browser."""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from spm.base.errors import UserError
from spm.cli import app as command
from spm.inference.localize import MAX_S


def app() -> ModuleType:
    """The module of the page; its import takes seconds."""
    return import_module("spm.inference.app")


def results(network, video, max_s=MAX_S, threshold=0.25, on_share=lambda share: None):
    return app().localize(str(network), "cpu", str(video), max_s, threshold, on_share)


@pytest.mark.slow
def test_the_files_exist_until_the_page_has_copied_them(network, video):
    shares = []
    found = results(network, video, on_share=shares.append)
    text, film, _, seconds, files = next(found)
    assert "a film.mp4" in text
    assert "network: spm (method spm" in text
    assert list(seconds["s"]) == [0, 1, 2]
    assert {Path(file).suffix for file in files} == {".mp4", ".png", ".parquet", ".json"}
    assert Path(film).stat().st_size
    assert next(found, None) is None
    assert not any(Path(file).exists() for file in files)
    assert shares == sorted(set(shares))
    assert shares[-1] > 0.8


@pytest.mark.slow
def test_only_the_seconds_that_the_user_wants_are_used(network, video):
    text, _, _, seconds, _ = next(results(network, video, max_s=1, threshold=1))
    assert list(seconds["s"]) == [0]
    assert set(seconds["box: x, y, w, h"]) == {""}
    assert text.endswith("only the first 1 of 3 s were used")


def test_the_reason_why_a_video_cannot_be_used_has_no_path_of_the_server(network, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    ((text, *shown),) = results(network, broken)
    assert text.startswith("Error: broken.mp4: unreadable: ")
    assert shown == [None] * 4
    ((text, *_),) = app().localize(str(network), "cpu", None, 1, 0.5, lambda share: None)
    assert text == "Error: there is no video: upload or record one"


def test_the_networks_of_the_results_can_be_chosen_and_the_given_one_is_the_first(tmp_path):
    for name in ("spm", "dsol"):
        (tmp_path / "fusion/train" / name).mkdir(parents=True)
        (tmp_path / "fusion/train" / name / "network.safetensors").touch()
    dsol, spm = (str(tmp_path / "fusion/train" / name) for name in ("dsol", "spm"))
    assert list(app().find_networks(tmp_path, None).values()) == [None, dsol, spm]
    assert list(app().find_networks(tmp_path, spm).values()) == [spm, None, dsol]
    assert list(app().find_networks(tmp_path / "none", "me/mine").values()) == ["me/mine", None]


def test_without_gradio_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"needs Gradio: pip install 'sound-promotion\[app\]'"):
        command.app(browse=False)
    assert "GRADIO_TEMP_DIR" not in os.environ
