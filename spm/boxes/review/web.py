"""What the pages of `spm review` share: the server of this machine, and who may use it.

Only this machine can open a page, and only with the token in its address. A request that changes
something must come from the page itself: a page of another website is rejected.
"""

import secrets
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from spm.base.errors import UserError
from spm.boxes.formats.frames import BoxRow

PAGE = Path(__file__).with_name("page")
HOST = "127.0.0.1"
COOKIE = "spm-review"
CONTENT_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
CACHE_CONTROL = "private, max-age=3600"
SAFE_METHODS = ("GET", "HEAD")


class TokenMiddleware(BaseHTTPMiddleware):
    """Rejects requests without the token; a request with it in its address gets a cookie."""

    def __init__(self, app: Any, token: str) -> None:
        super().__init__(app)
        self.token = token

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer a request of the page that has the token or the cookie."""
        cookie = f"{COOKIE}-{request.url.port}"  # cookies of a host are shared by all its ports
        if not _is_of_page(request):
            response = Response("This request comes from another website.", 403)
        elif self._is_token(request.query_params.get("token")):
            response = RedirectResponse(request.url.path, status_code=303)
            response.set_cookie(cookie, self.token, httponly=True, samesite="strict")
        elif self._is_token(request.cookies.get(cookie)):
            response = await call_next(request)
        else:
            response = Response(
                "No token: open the address that spm review printed, with its token.", 403
            )
        response.headers["Content-Security-Policy"] = CONTENT_POLICY
        return response

    def _is_token(self, value: str | None) -> bool:
        return value is not None and secrets.compare_digest(value.encode(), self.token.encode())


def _is_of_page(request: Request) -> bool:
    """Whether a request reads only, or comes from a page of this server (or from no page)."""
    origin = request.headers.get("Origin")
    same = origin is None or urlsplit(origin).netloc == request.headers.get("Host")
    return request.method in SAFE_METHODS or same


def _bad_request(request: Request, error: Exception) -> Response:
    """Tell the page why its request is not valid."""
    return JSONResponse({"error": str(error)}, 400)


def build(routes: Sequence[BaseRoute], token: str) -> Starlette:
    """The web application: the files of the pages, and the routes that one of them uses."""
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        Middleware(TokenMiddleware, token=token),
    ]
    bad_requests = [UserError, ValidationError, ValueError, TypeError, LookupError]
    handlers = dict.fromkeys(bad_requests, _bad_request)
    page = Mount("/page", StaticFiles(directory=PAGE))
    return Starlette(routes=[*routes, page], middleware=middleware, exception_handlers=handlers)


def media_response(
    read: Callable[[BoxRow], bytes], rows: Sequence[BoxRow], request: Request, media_type: str
) -> Response:
    """An image or a sound of the row whose number is in the address."""
    row = rows[request.path_params["number"]]
    headers = {"Cache-Control": CACHE_CONTROL}
    return Response(read(row), media_type=media_type, headers=headers)


def serve(routes: Sequence[BaseRoute], title: str, *, port: int, browse: bool) -> None:
    """Serve a page until Ctrl-C, and print its address after the title.

    Parameters
    ----------
    routes : sequence of BaseRoute
        What the page asks for.
    title : str
        What the page shows, for the line with the address.
    port : int
        0: any free port.
    browse : bool
        Whether to open the page in a browser.
    """
    token = secrets.token_urlsafe(16)
    with socket.socket() as listening:
        try:
            listening.bind((HOST, port))
            # Now, so that a browser that connects before uvicorn accepts is not refused.
            listening.listen()
        except OSError as error:
            raise UserError(
                f"port {port}: {error.strerror}: expected a free port; 0 takes any free one"
            ) from error
        url = f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"
        print(f"{title}: {url}\nCtrl-C stops it", file=sys.stderr)
        if browse:
            webbrowser.open(url)
        config = uvicorn.Config(build(routes, token), log_level="warning")
        uvicorn.Server(config).run(sockets=[listening])
