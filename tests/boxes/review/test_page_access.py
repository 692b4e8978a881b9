"""Who gets into the review page, in a real browser: not another page on this machine."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from spm.boxes.review import decisions, web
from tests.support.draw_page import DrawPage
from tests.support.review_page import serve, write_annotations

pytestmark = pytest.mark.slow


@pytest.fixture
def server(squares, tmp_path):
    annotated = write_annotations(squares, tmp_path / "boxes.parquet")
    with serve(annotated, squares.index, squares.clips, tmp_path / "reviews.csv") as server:
        yield server


class OtherPage(BaseHTTPRequestHandler):
    """A page of another server on this machine; it keeps the cookies that it receives."""

    cookies: list[str]

    def do_GET(self):
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>other</title><body></body>")

    def log_message(self, *args):
        """Print nothing."""


@pytest.fixture
def other_server():
    handler = type("Handler", (OtherPage,), {"cookies": []})
    server = ThreadingHTTPServer((web.HOST, 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


ATTACK = """async ([root, kind]) => {
    const body = JSON.stringify(
        {number: 0, verdict: "reject", x: 0, y: 0, w: 1, h: 1, category: "="});
    if (kind === "fetch") {
        for (const mode of ["no-cors", "cors"])
            await fetch(`${root}/decide`, {method: "POST", mode, body, credentials: "include"})
                .catch(() => {});
        return;
    }
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: `${root}/decide`, enctype: "text/plain"});
    const input = document.createElement("input");
    [input.name, input.value] = [body.slice(0, -3), '"}']; // sent as name=value
    form.append(input);
    document.body.append(form);
    form.submit();
}"""


@pytest.mark.parametrize("kind", ["fetch", "form"])
def test_a_page_on_another_port_of_this_machine_can_not_decide(
    browser, server, tmp_path, other_server, kind
):
    reviews = tmp_path / "reviews.csv"
    context = browser.new_context()
    page, other = DrawPage(context.new_page(), server), context.new_page()
    other.goto(f"http://{web.HOST}:{other_server.server_port}/")
    other.evaluate(ATTACK, [server.root, kind])
    other.wait_for_timeout(300)
    assert not reviews.exists()
    # Cookies of a host go to all its ports, but that of the page only to the folder of the page.
    assert set(other_server.RequestHandlerClass.cookies) == {""}
    page.press("a")
    page.wait_for(1)
    assert [decision.verdict for decision in decisions.read(reviews)] == ["accept"]
    context.close()


def test_a_browser_gets_in_by_the_file_with_the_address(browser, server, tmp_path):
    page = browser.new_page()
    with web.redirect_file(server.address, tmp_path / "reviews.csv") as file:
        page.goto(file.as_uri())
        page.wait_for_selector('body[data-number="0"]')
        assert page.url == f"{server.root}/"  # without the token
    page.close()
