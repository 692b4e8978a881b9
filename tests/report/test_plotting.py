import numpy as np

from spm.report.html import page
from spm.report.plotting import overlaid, styles


def test_heat_brightens_its_own_region_and_hardly_the_others():
    gray, heat = np.full((40, 60, 3), 40, np.uint8), np.zeros((2, 3), np.float32)
    heat[0, 0] = 0.5
    drawn = overlaid(gray, heat).astype(int)
    assert drawn.shape == gray.shape
    assert drawn[:8, :8].mean() > 100 > 40 > drawn[30:, 40:].mean()


def test_a_map_relative_to_a_higher_maximum_is_fainter():
    gray, heat = np.full((20, 20, 3), 40, np.uint8), np.full((2, 2), 0.5, np.float32)
    assert overlaid(gray, heat, top=5.0).mean() < overlaid(gray, heat).mean()


def test_the_title_of_a_page_is_escaped():
    assert "<h1>a &lt;b&gt;</h1>" in page("a <b>", "<p>c</p>")


def test_thirty_names_have_different_styles():
    names = [str(number) for number in range(30)]
    pairs = [(style["color"], style["marker"]) for _, style in styles(names)]
    assert len(set(pairs)) == 30
