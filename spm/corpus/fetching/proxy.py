"""The one door through which media are asked for: a proxy on this machine that leads into no private network.

A list of videos is written by strangers, and so are the pages behind it: an address, or the redirect, playlist or piece
that follows from it, may name this machine, its neighbors, or a cloud's 169.254.169.254. Whatever yt-dlp asks with, it
asks here. A name is resolved once, and the very address that was judged is connected to.
"""

import base64
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from spm.base.config import UserError

CHUNK_BYTES = 1 << 16
HEAD_BYTES = 1 << 16  # of a request or an answer, before its body
TRANSLATED = ip_network("64:ff9b::/96")  # IPv4 behind a NAT64
OF_THE_HOP = re.compile(rb"(?im)^(?:Proxy-[\w-]+|Connection|Keep-Alive):[^\n]*\n")
PORTS = {"http": 80, "https": 443}


class Private(Exception):
    """A host that is this machine, or in a network of its own."""


def is_public(address: str) -> bool:
    """Whether a numeric address is of the internet at large.

    >>> [is_public(a) for a in ("93.184.215.14", "127.0.0.1", "169.254.169.254", "10.1.2.3", "::ffff:10.1.2.3")]
    [True, False, False, False, False]
    """
    one: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(one, IPv6Address):
        inside = (
            IPv4Address(int(one) & 0xFFFFFFFF)
            if one in TRANSLATED
            else one.ipv4_mapped or one.sixtofour
        )
        one = inside or one
    return one.is_global and not one.is_multicast


def resolve(host: str, port: int, allowed: Sequence[str]) -> list[str]:
    """The numeric addresses of a host.

    Raises
    ------
    Private
        When one of them is not public, and the host is not `allowed`.
    OSError
        When there is no such host.
    """
    found = [
        str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]
    if host.lower() not in allowed and not all(map(is_public, found)):
        raise Private(f"{host} is of a private network: fetch.private_hosts does not name it")
    return found


def upstream(scheme: str, host: str) -> SplitResult | None:
    """The proxy that the environment wants for a host, as http_proxy, https_proxy and no_proxy say.

    Raises
    ------
    UserError
        When it is no HTTP proxy.
    """
    proxies = getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    if not named or proxy_bypass(host):
        return None
    parts = urlsplit(named if "://" in named else f"http://{named}")
    if parts.scheme != "http" or not parts.hostname:
        raise UserError(f"{scheme}_proxy {named!r}: expected http://host:port")
    return parts


class Request:
    """A request to a proxy, taken apart."""

    def __init__(self, head: bytes) -> None:
        method, target, version = head.split(b"\r\n")[0].decode("ascii").split(" ")
        self.head, self.method = head, method
        self.tunnel = method == "CONNECT"
        parts = urlsplit(f"https://{target}" if self.tunnel else target)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"{target[:80]}: expected http:// or https://")
        self.scheme, self.host, self.port = (
            parts.scheme,
            parts.hostname,
            parts.port or PORTS[parts.scheme],
        )
        path = parts._replace(scheme="", netloc="").geturl()
        self.line = f"{method} {path if path.startswith('/') else '/' + path} {version}".encode(
            "ascii"
        )

    def direct(self) -> bytes:
        """The head as the server itself wants it; each connection carries one request."""
        return _closing(self.line + b"\r\n" + self.head.split(b"\r\n", 1)[1])

    def onward(self, proxy: SplitResult) -> bytes:
        """The head as another proxy wants it."""
        who = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}".encode()
        login = (
            b"Proxy-Authorization: Basic " + base64.b64encode(who) + b"\r\n"
            if proxy.username
            else b""
        )
        plain = self.head if self.tunnel else _closing(self.head)
        return plain[:-2] + login + b"\r\n"


def _closing(head: bytes) -> bytes:
    return OF_THE_HOP.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n"


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    """A head up to its empty line, and what came behind it."""
    held = b""
    while b"\r\n\r\n" not in held:
        chunk = sock.recv(CHUNK_BYTES)
        if not chunk or len(held) > HEAD_BYTES:
            return b"", held
        held += chunk
    head, rest = held.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _pour(source: socket.socket, sink: socket.socket, until_s: float) -> None:
    """Hand on all that comes, and that it has ended."""
    with suppress(OSError):
        while time.monotonic() < until_s and (chunk := source.recv(CHUNK_BYTES)):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class SsrfFilterProxy(ThreadingTCPServer):
    """The proxy: `allowed` hosts may be private; it waits `timeout_s` for a connection, which then lasts `life_s`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, allowed: Sequence[str], timeout_s: float, life_s: float) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.allowed, self.timeout_s, self.life_s = (
            [host.lower() for host in allowed],
            timeout_s,
            life_s,
        )
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def reach(self, asked: Request) -> tuple[socket.socket, bytes]:
        """A connection towards the host that is asked for, and what to send there first."""
        proxy = upstream(asked.scheme, asked.host)
        if proxy is None:
            return self._connected(asked), b"" if asked.tunnel else asked.direct()
        with suppress(socket.gaierror):  # a name that only the proxy knows is the proxy's to judge
            resolve(asked.host, asked.port, self.allowed)
        return socket.create_connection(
            (proxy.hostname, proxy.port or 80), self.timeout_s
        ), asked.onward(proxy)

    def _connected(self, asked: Request) -> socket.socket:
        errors: list[OSError] = []
        for address in resolve(asked.host, asked.port, self.allowed):
            try:
                return socket.create_connection((address, asked.port), self.timeout_s)
            except OSError as error:
                errors.append(error)
        raise errors[0]


class ProxyHandler(StreamRequestHandler):
    """One connection of yt-dlp's."""

    server: SsrfFilterProxy

    def handle(self) -> None:
        """Judge the host, connect, and hand on both ways until either side has enough."""
        head, rest = _head(self.connection)
        if not head:
            return
        try:
            asked = Request(head)
            there, first = self.server.reach(asked)
        except (Private, ValueError, UserError) as why:
            self._refuse(403, str(why))
        except OSError as why:
            self._refuse(502, why.strerror or str(why))
        else:
            with there, suppress(OSError):  # a line that breaks, breaks on both sides
                there.settimeout(
                    2 * self.server.timeout_s
                )  # yt-dlp loses its patience first, and says so
                self._pass(asked, there, first, rest)

    def _pass(self, asked: Request, there: socket.socket, first: bytes, rest: bytes) -> None:
        if asked.tunnel and not first:
            self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        there.sendall(first + rest)
        until_s = time.monotonic() + self.server.life_s
        Thread(target=_pour, args=(self.connection, there, until_s), daemon=True).start()
        if not asked.tunnel:  # the next request of this connection might be another host's
            head, begun = _head(there)
            self.connection.sendall(_closing(head) + begun if head else begun)
        _pour(there, self.connection, until_s)

    def _refuse(self, code: int, why: str) -> None:
        line = re.sub(r"[^ -~]", "?", why)[:200]
        with suppress(OSError):
            self.connection.sendall(
                f"HTTP/1.1 {code} {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode(
                    "ascii"
                )
            )


@contextmanager
def running(allowed: Sequence[str], timeout_s: float, life_s: float) -> Iterator[str]:
    """A door for as long as it is wanted; its address, as a proxy's.

    Raises
    ------
    UserError
        When the environment names a proxy that is no HTTP proxy.
    """
    for scheme in PORTS:
        upstream(scheme, "example.org")
    with SsrfFilterProxy(allowed, timeout_s, life_s) as door:
        Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield door.address
        finally:
            door.shutdown()
