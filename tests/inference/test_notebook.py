"""The notebook of the docs, from a video to a figure."""

import json

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from tests.support.project import ROOT


@pytest.mark.slow
def test_its_cells_run_in_order_and_draw_a_figure(media, tmp_path, monkeypatch):
    mpl.use("agg")
    (tmp_path / "concert.mp4").write_bytes(media.read_bytes())
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "localize.ipynb").read_text(encoding="utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert len(names["seconds"]) == 2
    assert np.asarray(Image.open(tmp_path / "localized.png")).std() > 10
