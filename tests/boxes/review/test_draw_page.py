"""Boxes are drawn in a real browser, by mouse, by touch and by keys."""

import signal

import pytest

from spm.boxes.formats import csv
from spm.boxes.review.draw_server import load_draw_app, routes_of
from tests.support.draw_page import (
    DUET,
    WIDE,
    DrawPage,
    DrawProcess,
    DrawServer,
    write_results,
)
from tests.support.review_page import serve_routes

pytestmark = pytest.mark.slow
HEAD = "video_id,time_s,category,x,y,w,h\n"


@pytest.fixture
def boxes_csv(tmp_path):
    return tmp_path / "boxes.csv"


@pytest.fixture
def server(squares, tmp_path, boxes_csv):
    app = load_draw_app(boxes_csv, write_results(squares, tmp_path / "results"), 3)
    with serve_routes(routes_of(app)) as address:
        yield DrawServer(address)


@pytest.fixture
def open_page(browser, server):
    pages = []

    def begin(first=0, **options):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        pages.append(DrawPage(context.new_page(), server, first))
        return pages[-1]

    yield begin
    for page in pages:
        page.page.context.close()
        assert not page.errors


def sides(row):
    return [row[side] for side in "xywh"]


def near(*expected):
    return pytest.approx(expected, abs=0.012)


def duet_frame(server):
    frames = server.get("/session")["frames"]
    return next(n for n, frame in enumerate(frames) if frame["video_id"] == DUET)


def test_a_box_is_drawn_moved_and_resized_by_mouse(open_page, boxes_csv):
    page = open_page()
    page.drag((0.2, 0.3), (0.5, 0.7))
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert (row["video_id"], row["time_s"], row["category"]) == (WIDE, 0.5, "cello")
    assert sides(row) == near(0.2, 0.3, 0.3, 0.4)
    page.drag((0.35, 0.5), (0.45, 0.4))  # inside the selected box: it moves
    page.drag((0.6, 0.6), (0.8, 0.9))  # its corner: it is resized
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert sides(row) == near(0.3, 0.2, 0.5, 0.7)
    page.press("Escape")
    page.drag((0.35, 0.25), (0.5, 0.5))  # not selected: a new box inside the other one
    page.saved()
    assert [sides(row) for row in csv.read(boxes_csv)] == [
        near(0.3, 0.2, 0.5, 0.7),
        near(0.35, 0.25, 0.15, 0.25),
    ]
    page.page.mouse.click(*page.point(0.7, 0.8))  # selects the box there
    page.press("Delete")
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert sides(row) == near(0.35, 0.25, 0.15, 0.25)


def test_a_box_is_drawn_on_the_zoomed_image(open_page, boxes_csv):
    page = open_page()
    page.page.mouse.move(*page.point(0.5, 0.5))
    page.page.mouse.wheel(0, -462)  # to twice the size
    page.drag((0.25, 0.25), (0.75, 0.75))
    page.saved()
    assert sides(csv.read(boxes_csv)[0]) == near(0.375, 0.375, 0.25, 0.25)
    page.press("Enter")
    page.wait_for(1)
    assert page.text("#zoom-level") == "100 %"


def test_a_click_or_a_cancelled_drag_draws_nothing(open_page, boxes_csv):
    page = open_page()
    page.page.mouse.click(*page.point(0.5, 0.5))
    page.page.mouse.move(*page.point(0.2, 0.2))
    page.page.mouse.down()
    page.page.mouse.move(*page.point(0.6, 0.6))
    page.press("Escape")
    page.page.mouse.up()
    assert page.page.locator(".preview").count() == 0
    assert not boxes_csv.exists()


def test_boxes_are_drawn_by_touch(open_page, boxes_csv, server):
    page = open_page(has_touch=True)
    page.touch((0.2, 0.3), (0.5, 0.7))
    page.saved()
    page.touch((0.35, 0.5), (0.45, 0.4))
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert sides(row) == near(0.3, 0.2, 0.3, 0.4)
    page.touch((0.9, 0.9), (0.9, 0.9))  # a tap beside the box
    assert page.page.locator(".selected").count() == 0
    page.touch((0.4, 0.4), (0.4, 0.4))
    assert page.page.locator("#boxes .selected").count() == 1
    page.page.locator("#delete").tap()
    page.page.wait_for_selector('body[data-boxes="0"]')
    page.saved()
    assert csv.read(boxes_csv) == []
    page.page.select_option("#video", DUET)
    page.wait_for(duet_frame(server))
    page.touch((0.1, 0.1), (0.4, 0.4))
    page.page.locator("#options li", has_text="flute").tap()
    page.page.wait_for_selector("#list .name:has-text('flute')")
    page.saved()
    assert [row["category"] for row in csv.read(boxes_csv)] == ["flute"]


def test_a_box_is_drawn_by_keys_only(open_page, boxes_csv):
    page = open_page()
    page.press("b", "ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown")
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert sides(row) == pytest.approx([0.34, 0.345, 0.305, 0.305], abs=1e-9)
    page.press("Enter")  # the next frame: the delayed answer is stored before it is shown
    page.wait_for(1)
    page.press("ArrowLeft")  # without a selected box
    page.wait_for(0)
    page.press("s", "Backspace")
    page.saved()
    assert csv.read(boxes_csv) == []


def test_a_duet_gets_several_boxes_and_their_classes_by_typing(open_page, boxes_csv, server):
    page = open_page()
    number = duet_frame(server)
    page.page.select_option("#video", DUET)
    page.wait_for(number)
    page.drag((0.1, 0.1), (0.4, 0.5))  # the list of classes opens
    page.press("2")  # the number of flute, which is then named cello, and flute again
    page.press("c", "1", "c")
    page.page.keyboard.type("fl")
    assert page.text("#options li >> nth=0") == "flute"
    page.press("Enter")
    assert "no box yet: cello" in page.text("#hint")
    page.drag((0.6, 0.1), (0.9, 0.5))
    page.press("Enter")  # the class that has no box yet
    page.drag((0.1, 0.6), (0.3, 0.9))
    page.page.keyboard.type("harp")
    assert page.text("#options") == "new class “harp”"
    page.press("Enter")
    page.saved()
    assert "the box will not count" in page.text("#list")
    assert [row["category"] for row in csv.read(boxes_csv)] == ["flute", "cello", "harp"]
    page.press("1", "Escape")
    page.saved()
    assert [row["category"] for row in csv.read(boxes_csv)] == ["flute", "cello", "cello"]
    page.page.reload()
    page.wait_for(0)
    page.page.select_option("#video", DUET)
    page.wait_for(number)
    assert page.page.locator("#boxes .drawn").count() == 3


def test_nothing_sounds_is_an_answer_that_can_be_undone(open_page, boxes_csv):
    page = open_page()
    page.press("n")
    page.wait_for(1)
    page.page.click("#nothing")
    page.wait_for(2)
    page.saved()
    empty = HEAD + f"{WIDE},0.5,,,,,\n{WIDE},2,,,,,\n"
    assert boxes_csv.read_text() == empty
    assert "2 of 12 answered" in page.text("#progress")
    page.press("u")
    page.wait_for(1)
    page.saved()
    assert boxes_csv.read_text() == HEAD + f"{WIDE},0.5,,,,,\n"
    page.page.reload()
    page.wait_for(1)  # the first frame without an answer
    page.press("ArrowLeft")
    page.wait_for(0)
    assert page.text(".nothing") == "nothing sounds here"
    page.drag((0.1, 0.1), (0.5, 0.5))
    page.saved()
    assert [row["category"] for row in csv.read_answers(boxes_csv)] == ["cello"]
    page.press("Control+z")
    page.saved()
    assert boxes_csv.read_text() == HEAD + f"{WIDE},0.5,,,,,\n"


def test_a_key_after_a_click_on_a_button_does_not_press_the_button_again(open_page, boxes_csv):
    page = open_page()
    page.page.click("#nothing")
    page.wait_for(1)
    page.press("Enter")
    page.wait_for(2)
    page.saved()
    assert boxes_csv.read_text() == HEAD + f"{WIDE},0.5,,,,,\n"


def test_undo_takes_back_moves_deletions_and_classes(open_page, boxes_csv):
    page = open_page()
    page.drag((0.2, 0.2), (0.6, 0.6))
    page.press("ArrowRight", "ArrowRight", "Delete", "u")
    page.saved()
    (row,) = csv.read(boxes_csv)
    assert sides(row) == near(0.21, 0.2, 0.4, 0.4)
    page.press("u")  # both presses of the arrow
    page.saved()
    assert sides(csv.read(boxes_csv)[0]) == near(0.2, 0.2, 0.4, 0.4)
    page.press("u")
    page.saved()
    assert csv.read(boxes_csv) == []
    page.press("u")
    assert page.text("#message") == "there is nothing to undo"


def test_given_boxes_are_edited_and_their_other_columns_stay(open_page, boxes_csv):
    boxes_csv.write_text(f"note,{HEAD}mine,{WIDE},0.44,cello,0.2,0.2,0.4,0.4\n")
    page = open_page(first=1)  # the first frame without an answer
    page.press("ArrowLeft")
    page.wait_for(0)
    assert page.page.locator("#boxes .drawn").count() == 1
    page.page.mouse.click(*page.point(0.4, 0.4))
    page.press("ArrowDown")
    page.saved()
    assert boxes_csv.read_text() == f"note,{HEAD}mine,{WIDE},0.44,cello,0.2,0.205,0.4,0.4\n"


def test_boxes_of_another_frame_are_suggested_and_accepted(open_page, boxes_csv):
    page = open_page()
    page.drag((0.2, 0.2), (0.6, 0.6))
    page.press("Enter")
    page.wait_for(1)
    assert page.page.locator("#boxes .suggestion").count() == 1
    page.press("a")
    assert page.page.locator("#boxes .suggestion").count() == 0
    page.press("Enter")
    page.wait_for(2)
    page.page.mouse.click(*page.point(0.4, 0.4))  # accepts the suggestion, and selects it
    page.press("ArrowLeft")
    page.saved()
    assert [row["time_s"] for row in csv.read(boxes_csv)] == [0.5, 2, 3]
    assert sides(csv.read(boxes_csv)[2]) == near(0.195, 0.2, 0.4, 0.4)


def test_two_pages_keep_the_boxes_of_both(open_page, boxes_csv):
    one, two = open_page(), open_page()
    one.drag((0.1, 0.1), (0.4, 0.4))
    one.saved()
    two.drag((0.6, 0.6), (0.9, 0.9))
    two.page.wait_for_selector("#message:has-text('changed by another page')")
    two.saved()
    assert [sides(row) for row in csv.read(boxes_csv)] == [
        near(0.1, 0.1, 0.3, 0.3),
        near(0.6, 0.6, 0.3, 0.3),
    ]
    one.drag((0.25, 0.25), (0.35, 0.25))  # moves a box that both pages know
    one.page.wait_for_selector("#message:has-text('changed by another page')")
    one.saved()
    assert [sides(row) for row in csv.read(boxes_csv)] == [
        near(0.2, 0.1, 0.3, 0.3),
        near(0.6, 0.6, 0.3, 0.3),
    ]


def test_an_answer_waits_for_the_server_and_is_stored_later(open_page, boxes_csv):
    page = open_page()
    page.page.context.set_offline(True)
    page.drag((0.2, 0.2), (0.6, 0.6))
    page.page.wait_for_selector("#problem:has-text('the server does not answer')")
    assert not boxes_csv.exists()
    page.page.context.set_offline(False)
    page.page.wait_for_selector("#problem", state="hidden")
    page.saved()
    assert len(csv.read(boxes_csv)) == 1


def test_a_fault_that_a_person_writes_into_the_file_is_shown_and_nothing_is_lost(
    open_page, boxes_csv
):
    page = open_page()
    boxes_csv.write_text(HEAD + "x,half,cello,0,0,1,1\n")
    page.drag((0.2, 0.2), (0.6, 0.6))
    page.page.wait_for_selector("#problem:has-text('line 2: time_s is half')")
    boxes_csv.write_text(HEAD + "x,1,cello,0,0,1,1\n")
    page.page.wait_for_selector("#problem", state="hidden")
    page.saved()
    assert [row["video_id"] for row in csv.read(boxes_csv)] == ["x", WIDE]


def test_a_saved_answer_survives_a_killed_server(browser, boxes_csv, squares, tmp_path):
    server = DrawProcess(boxes_csv, write_results(squares, tmp_path / "results"))
    page = DrawPage(browser.new_page(), server)
    page.drag((0.2, 0.2), (0.6, 0.6))
    page.saved()
    server.stop(signal.SIGKILL)
    assert len(csv.read(boxes_csv)) == 1
    page.press("ArrowRight")
    page.page.wait_for_selector("#problem:has-text('Not saved')")
    page.page.close(run_before_unload=False)


def test_the_image_has_the_aspect_ratio_of_the_video(open_page):
    page = open_page()
    area = page.page.locator("#frame").bounding_box()
    assert area["width"] / area["height"] == pytest.approx(4 / 3, abs=0.01)
    page.page.wait_for_function("document.getElementById('frame').naturalWidth > 0")


def test_the_end_counts_the_answers_and_says_what_to_run(open_page, boxes_csv, server):
    page = open_page()
    page.drag((0.2, 0.2), (0.6, 0.6))
    for number in range(1, 12):
        page.press("Enter")
        page.wait_for(number)
        page.press("n")
    page.wait_for("end")
    assert page.text("#end-title") == "All 12 frames are answered"
    assert page.text("#end-counts") == "1 box on 1 frame; nothing sounds in 11 frames."
    assert page.text("#end-file") == str(boxes_csv)
    assert page.text("#command").startswith("snakemake all --cores 2 --configfile")
    page.press("u")
    page.wait_for(11)
    page.saved()
    page.page.click("#finish")
    page.wait_for("end")
    assert page.text("#end-title") == "1 frame of 12 without an answer"
    page.page.click("#back")
    page.wait_for(11)
    page.press("Enter")  # no frame without an answer follows
    page.wait_for("end")
    assert server.get("/session")["progress"]["empty"] == 10


def test_the_sound_of_the_second_plays(open_page):
    page = open_page()
    page.press(" ")
    page.page.wait_for_selector('body[data-played="0"]')


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_width_of_the_screen(open_page, width):
    page = open_page()
    page.page.set_viewport_size({"width": width, "height": 844})
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("next", "nothing", "undo"):
        area = page.page.locator(f"#{name}").bounding_box()
        assert area["y"] + area["height"] <= 844
