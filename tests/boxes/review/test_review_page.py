"""Boxes are reviewed in a real browser, by mouse, by touch and by keys, by one person or by two."""

import contextlib
from io import BytesIO

import pytest
from PIL import Image

from spm.base import schemas, tables
from spm.base.shards import table_of
from spm.boxes.review import decisions
from tests.support.draw_page import DrawPage
from tests.support.review_page import serve, write_annotations

pytestmark = pytest.mark.slow
WIDE = (320, 240)


@pytest.fixture(scope="module")
def corpus(squares, tmp_path_factory):
    """Annotations, index and clips, of videos that are wider than high."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "clips").symlink_to(squares.clips)
    index = tables.read(squares.index).to_pylist()
    for shard in {row["shard"] for row in index}:
        names = sorted({row["video_id"] for row in index if row["shard"] == shard})
        videos = [{"video_id": name, "width": WIDE[0], "height": WIDE[1]} for name in names]
        tables.write_rows(table_of(folder / "videos", shard), schemas.VIDEOS, videos)
    return write_annotations(squares, folder / "boxes.parquet"), squares.index, folder / "clips"


@pytest.fixture
def reviews(tmp_path):
    return tmp_path / "reviews.csv"


@pytest.fixture
def start(corpus, reviews):
    with contextlib.ExitStack() as stack:
        yield lambda reviewer="ada": stack.enter_context(serve(*corpus, reviews, reviewer))


@pytest.fixture
def open_page(browser, start):
    pages = []

    def begin(server=None, first=0, size=(1280, 800), **options):
        viewport = dict(zip(("width", "height"), size, strict=True))
        context = browser.new_context(viewport=viewport, **options)
        pages.append(DrawPage(context.new_page(), server or start(), first))
        return pages[-1]

    yield begin
    for page in pages:
        page.page.context.close()
        assert not page.errors


def stored(reviews):
    return decisions.read(reviews) if reviews.exists() else []


def verdicts(reviews):
    return [decision.verdict for decision in stored(reviews)]


def sides(decision):
    return [getattr(decision, side) for side in "xywh"]


def near(*expected):
    return pytest.approx(expected, abs=0.012)


def test_keys_accept_reject_relabel_and_undo(open_page, reviews):
    page = open_page()
    page.press("a")
    page.wait_for(1)
    page.press("x")
    page.wait_for(2)
    page.press("2")  # cello, flute
    assert "the class is flute" in page.text("#draft")
    assert page.text("#accept-label") == "Save"
    page.press("Enter")
    page.wait_for(3)
    page.press("u")
    page.wait_for(2)
    page.press("u")
    page.wait_for(1)
    assert verdicts(reviews) == ["accept", "reject", "relabel", "undo", "undo"]
    assert stored(reviews)[2].category == "flute"
    assert "1 of 30 decided, 1 by me" in page.text("#progress")
    page.press("ArrowLeft")
    page.wait_for(0)
    assert "my decision: accept" in page.text("#details")


def test_a_box_is_relabeled_and_redrawn_in_one_go_by_mouse(open_page, reviews):
    page = open_page()
    page.page.click("#categories button >> text=flute")
    page.drag((0.25, 0.5), (0.75, 0.9))
    page.drag((0.5, 0.7), (0.4, 0.6))  # inside the new box: it moves
    assert not reviews.exists()
    page.page.click("#accept")
    page.wait_for(1)
    (decision,) = stored(reviews)
    assert (decision.verdict, decision.category) == ("redraw", "flute")
    assert sides(decision) == near(0.15, 0.4, 0.5, 0.4)
    page.page.click("#previous")
    page.wait_for(0)
    assert page.text("#title").startswith("flute")
    page.drag((0.1, 0.1), (0.3, 0.3))
    page.page.click("#discard")
    page.page.click("#accept")  # the box as it was redrawn before
    page.wait_for(1)
    assert stored(reviews)[1] == decision


def test_a_box_is_redrawn_by_keys_only(open_page, reviews):
    page = open_page()
    before = [float(side) for side in page.server.app.queue.boxes[0]["box"].split()[1:]]
    page.press("s", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "Escape", "Escape")
    assert page.page.get_attribute("body", "data-changed") == "no"
    page.press("s", "ArrowRight", "ArrowRight", "Shift+ArrowDown", "c")
    page.page.keyboard.type("flu")
    page.press("Enter", "Enter")
    page.wait_for(1)
    (decision,) = stored(reviews)
    x, y, w, h = before
    assert sides(decision) == pytest.approx([x + 0.01, y, w, h + 0.005], abs=1e-3)
    assert decision.category == "flute"
    page.page.focus("#reject")
    page.press("Enter")  # on a button: only the button
    page.wait_for(2)
    assert verdicts(reviews) == ["redraw", "reject"]
    page.page.focus("#filters summary")
    page.press("Enter")
    assert verdicts(reviews) == ["redraw", "reject"]


def test_touch_decides_redraws_and_zooms(open_page, reviews):
    page = open_page(size=(390, 844), has_touch=True)
    page.page.locator("#redraw").tap()
    page.touch((0.25, 0.5), (0.75, 0.9))
    page.page.locator("#rename").tap()
    page.page.locator("#options li", has_text="flute").tap()
    page.page.locator("#accept").tap()
    page.wait_for(1)
    (decision,) = stored(reviews)
    assert (decision.verdict, decision.category) == ("redraw", "flute")
    assert sides(decision) == near(0.25, 0.5, 0.5, 0.4)
    page.pinch((0.5, 0.5), 0.1, 0.3)
    assert page.text("#zoom-level") == "300 %"
    assert page.page.get_attribute("body", "data-changed") == "no"  # it drew nothing
    page.page.locator("#reject").tap()
    page.wait_for(2)
    assert page.text("#zoom-level") == "100 %"
    assert verdicts(reviews) == ["redraw", "reject"]


def test_a_box_is_drawn_on_the_zoomed_image(open_page, reviews):
    page = open_page()
    page.page.mouse.move(*page.point(0.5, 0.5))
    page.page.mouse.wheel(0, -462)  # to twice the size
    assert page.text("#zoom-level") == "200 %"
    page.press("p")
    page.drag((0.5, 0.5), (0.25, 0.5))  # moves the image: its left half is at -0.75 now
    page.press("p")
    page.drag((0.25, 0.25), (0.75, 0.75))
    page.press("a")
    page.wait_for(1)
    assert sides(stored(reviews)[0]) == near(0.5, 0.375, 0.25, 0.25)
    page.press("z")
    assert page.text("#zoom-level") != "100 %"
    page.press("f")
    assert page.text("#zoom-level") == "100 %"
    page.press("+", "-")
    assert page.text("#zoom-level") == "100 %"


def test_the_box_lies_on_the_square_and_the_image_has_the_shape_of_the_video(open_page):
    page = open_page()
    page.page.wait_for_load_state("networkidle")
    picture = Image.open(BytesIO(page.page.locator("#canvas").screenshot())).convert("RGB")
    assert picture.width / picture.height == pytest.approx(WIDE[0] / WIDE[1], abs=0.01)
    box = page.page.locator("#boxes .drawn").bounding_box()
    canvas = page.page.locator("#canvas").bounding_box()
    x = box["x"] - canvas["x"] + box["width"] / 2
    y = box["y"] - canvas["y"] + box["height"] / 2
    red, green, blue = picture.getpixel((int(x), int(y)))
    assert (red > 180, green < 80, blue < 80) == (True, True, True)  # a cello is a red square


def test_nobody_decides_about_a_box_that_is_not_shown_yet(open_page, reviews):
    page = open_page()
    held = []
    page.page.route("**/frame/1", lambda route: held.append(route))
    page.page.reload()
    page.wait_for(0)
    page.press("a", "x", "2")
    page.page.wait_for_selector("#progress:has-text('1 of 30')")
    page.press("x")
    page.page.wait_for_timeout(200)
    assert verdicts(reviews) == ["accept"]
    held[0].continue_()
    page.wait_for(1)
    page.press("x")
    page.wait_for(2)
    (_, rejected) = stored(reviews)
    assert rejected.box == page.server.app.queue.boxes[1]["box"]


def test_every_box_of_the_frame_has_a_label(open_page, start):
    server = start()
    app = server.app
    app.queue.in_frame[app.queue.boxes[0]["clip_id"], 0].append(5)  # another box on the frame
    page = open_page(server)
    labels = page.page.locator("#boxes span").all_inner_texts()
    scores = [app.queue.boxes[number]["score"] for number in (5, 0)]
    assert labels == [f"cello {score:.2f}" for score in scores]


def test_one_of_200_classes_is_found_by_typing(open_page, start, reviews):
    server = start()
    server.app.categories += [f"instrument {number}" for number in range(200)]
    page = open_page(server)
    page.press("c")
    page.page.keyboard.type("ent_17")
    assert page.page.locator("#options li").count() == 12  # 17, 170 … 179, and a new class
    assert page.text("#options li >> nth=0") == "instrument 17"
    page.press("ArrowDown", "Enter", "a")
    page.wait_for(1)
    assert stored(reviews)[0].category == "instrument 170"


def test_the_sound_of_the_clip_plays_and_filters_change_the_boxes(open_page, reviews):
    page = open_page()
    page.press(" ")
    page.page.wait_for_selector('body[data-played="0"]')
    page.page.select_option("#status", "low-score")
    page.page.wait_for_selector("#details:has-text('low-score')")
    page.page.fill("#min_score", "0.8")
    page.page.press("#min_score", "Tab")
    page.page.wait_for_selector("#progress:has-text('; 11 left')")
    page.page.select_option("#decided_by", "me")
    page.wait_for("end")
    page.page.click("#back")
    page.page.wait_for_selector("#work #details:has-text('low-score')")
    assert not reviews.exists()


def test_a_late_answer_to_an_earlier_filter_changes_nothing(open_page):
    page = open_page()
    late = []
    page.page.route("**/numbers?*status=kept*", lambda route: late.append(route))
    page.page.select_option("#status", "kept")
    page.page.select_option("#status", "low-score")
    page.page.wait_for_selector("#details:has-text('low-score')")
    with page.page.expect_response("**/numbers?*status=kept*"):
        late[0].continue_()
    page.page.wait_for_timeout(200)
    assert "low-score" in page.text("#details")


def test_two_people_review_at_once_and_see_their_agreement(open_page, start, reviews):
    ada, bob = open_page(start("ada")), open_page(start("bob"))
    ada.press("a")
    ada.wait_for(1)
    bob.page.wait_for_selector("#message:has-text('another reviewer has just decided')")
    bob.page.wait_for_selector("#progress:has-text('1 of 30 decided, 0 by me')")
    bob.press("a")  # the same box: the page leaves some of the next ones to the other person
    bob.page.wait_for_selector('body:not([data-number="0"])')
    assert bob.page.get_attribute("body", "data-number") != "1"
    ada.press("x")
    ada.wait_for(2)
    bob.press("ArrowLeft")
    bob.wait_for(0)
    ada.page.wait_for_selector("#agreement:has-text('with bob on 1 box: 100 %, κ not defined')")
    assert sorted(d.reviewer for d in stored(reviews)) == ["ada", "ada", "bob"]


def test_the_end_says_what_to_run_next(open_page, start, reviews):
    reviews.with_name("manifest.csv").write_text("")
    server = start()
    for number in range(28):
        server.open().decide(number, "accept")
    page = open_page(server, first=28)
    page.press("x")
    page.wait_for(29)
    page.press("ArrowRight")
    page.wait_for("end")
    assert page.text("#end-title") == "1 box of 30 without a decision"
    page.page.click("#back")
    page.wait_for(29)
    page.press("a")
    page.wait_for("end")
    assert page.text("#end-title") == "All 30 boxes are decided"
    assert page.text("#end-file") == str(reviews)
    assert page.text("#command").startswith("snakemake all --cores 2 --configfile")
    page.press("u")
    page.wait_for(29)
    assert verdicts(reviews)[-1] == "undo"


def test_a_decision_that_an_editor_overwrites_is_added_again_and_the_page_says_so(
    open_page, reviews
):
    page = open_page()
    page.press("a")
    page.wait_for(1)
    reviews.write_text(",".join(decisions.COLUMNS) + "\n")
    page.press("x")
    page.wait_for(2)
    assert "without 1 decision of yours" in page.text("#notice")
    assert verdicts(reviews) == ["accept", "reject"]
    page.page.click("#dismiss")
    reviews.write_text("a shopping list\n")
    page.press("a")
    page.page.wait_for_selector("#problem:has-text('Not saved: ')")
    assert page.page.get_attribute("body", "data-number") == "2"
    reviews.unlink()
    page.press("a")
    page.wait_for(3)
    assert verdicts(reviews) == ["accept", "reject", "accept"]


def test_the_page_does_not_show_a_frame_of_other_clips(open_page, start, tmp_path):
    server = start()
    server.app.media.folder = tmp_path
    page = open_page(server)
    page.page.wait_for_selector("#message:has-text('the clips have changed')")
    assert page.page.evaluate("document.getElementById('frame').naturalWidth") == 0


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_page_fits_the_screen_and_everything_has_a_name(open_page, size):
    page = open_page(size=size)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    for name in ("accept", "reject", "next", "undo"):
        area = page.page.locator(f"#{name}").bounding_box()
        assert area["y"] + area["height"] <= size[1]
        assert min(area["width"], area["height"]) >= 24
    page.press("c")
    unnamed = """[...document.querySelectorAll("button, input, select, progress, [role]")]
        .filter((part) => part.checkVisibility() && !part.ariaLabel && !part.labels?.length
                          && !part.innerText?.trim() && part.role !== "status")
        .map((part) => part.id)"""
    assert page.page.evaluate(unnamed) == []
