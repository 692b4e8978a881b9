"""What the pages of `spm review` and `spm app` share: their server, and who may use it.

By default, only this machine can open a page, and only with the address that the server prints. The
address has two secrets: the folder of the page, and a token that becomes a cookie of this folder. A
browser sends a cookie to every port of a host, but only to its own folder, so no other server of
this machine receives it. The browser that the command opens reads the address from a file that only
the user can read: a command line can be read by all users of a machine. Requests of other pages are
refused, those of pages on other ports of this machine too.
"""

import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from spm.base.errors import UserError
from spm.boxes.formats.frames import BoxRow

PAGE = Path(__file__).with_name("page")
HOST, EVERY_HOST = "127.0.0.1", "0.0.0.0"
COOKIE = "spm-review"
CACHE_CONTROL = "private, max-age=3600"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
REDIRECT = (
    '<!DOCTYPE html><title>spm</title><link rel="icon" href="data:,">'
    '<meta http-equiv="refresh" content="0; url={}">'
)


class Access(NamedTuple):
    """The secrets of a page."""

    folder: str
    token: str

    @classmethod
    def generate(cls) -> "Access":
        """New secrets."""
        return cls(secrets.token_urlsafe(8), secrets.token_urlsafe(16))

    def url(self, port: int, host: str = HOST) -> str:
        """The address of the page."""
        shown = socket.gethostname() if host == EVERY_HOST else host
        return f"http://{shown}:{port}/{self.folder}/?token={self.token}"


class AccessMiddleware(BaseHTTPMiddleware):
    """Rejects requests without the token; a request with it in its address gets a cookie."""

    def __init__(self, app: Any, access: Access, headers: Mapping[str, str] = HEADERS) -> None:
        super().__init__(app)
        self.access, self.headers = access, headers

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer a request of the page that has the token or the cookie."""
        folder = f"/{self.access.folder}/"
        cookie = f"{COOKIE}-{request.url.port}"  # two servers in one browser have two cookies
        if not _is_of_page(request):
            response = Response("This request comes from another website.", 403)
        elif request.url.path == folder and self._is_token(request.query_params.get("token")):
            # Not a redirect by status: after a link in a file, a browser would follow it without
            # the cookie, because the file is another website.
            response = HTMLResponse(REDIRECT.format(folder), headers={"Cache-Control": "no-store"})
            response.set_cookie(
                cookie, self.access.token, path=folder, httponly=True, samesite="strict"
            )
        elif self._is_token(request.cookies.get(cookie)):
            response = await call_next(request)
        else:
            response = Response(
                "No token: open the address that the command printed, with its token.", 403
            )
        response.headers.update(self.headers)
        return response

    def _is_token(self, value: str | None) -> bool:
        expected = self.access.token.encode()
        return value is not None and secrets.compare_digest(value.encode(), expected)


def _is_of_page(request: Request) -> bool:
    """Whether a request comes from a page of this server, from the user, or from no browser.

    Another page, or another port of this machine, may only lead the user to an address.
    """
    headers = request.headers
    origin = headers.get("Origin")
    if origin is not None and origin != f"{request.url.scheme}://{headers.get('Host')}":
        return False
    if headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return True
    is_page = headers.get("Sec-Fetch-Dest") == "document"
    return request.method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate" and is_page


def _bad_request(request: Request, error: Exception) -> Response:
    """Tell the page why its request is not valid."""
    return JSONResponse({"error": str(error)}, 400)


def middleware(
    access: Access, headers: Mapping[str, str] = HEADERS, host: str = HOST
) -> list[Middleware]:
    """Who may use a page, and the headers of its responses.

    A name that leads to this machine is refused, as another page can use such a name; with another
    host than this machine's own, any name is allowed.
    """
    hosts = [HOST, "localhost"]
    allowed = hosts if host in hosts else ["*"]
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=allowed),
        Middleware(AccessMiddleware, access=access, headers=headers),
    ]


def build(routes: Sequence[BaseRoute], access: Access) -> Starlette:
    """The web application: the files of the pages, and the routes that one of them uses."""
    bad_requests = [UserError, ValidationError, ValueError, TypeError, LookupError]
    handlers = dict.fromkeys(bad_requests, _bad_request)
    page = Mount("/page", StaticFiles(directory=PAGE))
    folder = Mount(f"/{access.folder}", routes=[*routes, page])
    return Starlette(routes=[folder], middleware=middleware(access), exception_handlers=handlers)


def media_response(
    read: Callable[[BoxRow], bytes], rows: Sequence[BoxRow], request: Request, media_type: str
) -> Response:
    """An image or a sound of the row whose number is in the address."""
    row = rows[request.path_params["number"]]
    headers = {"Cache-Control": CACHE_CONTROL}
    return Response(read(row), media_type=media_type, headers=headers)


def serve(routes: Sequence[BaseRoute], title: str, file: Path, *, port: int, browse: bool) -> None:
    """Serve the page of some routes until Ctrl-C; `run` describes the other parameters."""
    access = Access.generate()
    run(build(routes, access), access, title, file, port=port, browse=browse)


def run(
    app: Starlette,
    access: Access,
    title: str,
    file: Path,
    *,
    host: str = HOST,
    port: int,
    browse: bool,
) -> None:
    """Serve a web application until Ctrl-C, and print its address after the title.

    Parameters
    ----------
    app : Starlette
        The application, with the middleware for `access`.
    access : Access
        The secrets of its address.
    title : str
        What the page shows, for the line with the address.
    file : Path
        A file that the page writes. The address for the browser is stored beside it for as long as
        the server runs.
    host : str
        Address that the server listens at: by default, of this machine only; 0.0.0.0: any.
    port : int
        0: any free port.
    browse : bool
        Whether to open the page in a browser.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # not without cleanup
    with socket.socket() as listening:
        try:
            listening.bind((host, port))
            # Now, so that a browser that connects before uvicorn accepts is not refused.
            listening.listen()
        except OSError as error:
            raise UserError(
                f"{host}, port {port}: {error.strerror}: expected an address of this machine and a"
                " free port; 0 takes any free one"
            ) from error
        url = access.url(listening.getsockname()[1], host)
        print(f"{title}: {url}\nCtrl-C stops it", file=sys.stderr)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        if not browse:
            server.run(sockets=[listening])
            return
        with redirect_file(url, file) as redirect:
            webbrowser.open(redirect.as_uri())
            server.run(sockets=[listening])


@contextmanager
def redirect_file(url: str, page_file: Path) -> Iterator[Path]:
    """A file for a browser, readable by the user only, that leads to an address.

    It lies beside the file that the page writes: some browsers can't read temporary folders.
    """
    folder = next(parent for parent in page_file.absolute().parents if parent.is_dir())
    place = folder if os.access(folder, os.W_OK) else None
    with NamedTemporaryFile(
        "w", prefix="spm-review-", suffix=".html", dir=place, encoding="utf-8"
    ) as file:
        file.write(REDIRECT.format(escape(url)))
        file.flush()
        yield Path(file.name)
