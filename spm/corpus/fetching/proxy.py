"""A proxy on this machine that refuses private addresses; all requests of yt-dlp pass through it.

Manifests and web pages come from untrusted sources. An address, or a redirect, playlist or
fragment that follows from it, may point to this machine, its network, or a cloud's metadata server
(169.254.169.254). The proxy resolves a name once, checks the resulting addresses, and connects to
exactly these addresses (no second resolution that could give another answer).

Each proxy has a password of its own, because other users of this machine can reach it too. They
could otherwise send requests in the name of this user, with the password of the environment's
proxy.
"""

import base64
import hmac
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from secrets import token_urlsafe
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from spm.base.errors import UserError

CHUNK_BYTES = 1 << 16
HEAD_BYTES = 1 << 16  # most of a request or response before its body
NAT64 = ip_network("64:ff9b::/96")  # IPv4 addresses behind a NAT64 gateway
HOP_HEADERS = re.compile(rb"(?im)^(?:Proxy-[\w-]+|Connection|Keep-Alive):[^\n]*\n")
LOGIN = re.compile(rb"(?im)^Proxy-Authorization:[ \t]*([^\r\n]*)\r?\n")
ASK_LOGIN = 'Proxy-Authenticate: Basic realm="spm"\r\n'
USER = "spm"
PORTS = {"http": 80, "https": 443}
# First word of the reason phrase of a refusal. `errors` recognizes refusals by this code; the
# sentence behind it is for people. (A header would be lost: HTTP clients drop those of a refused
# CONNECT.) A server that sends the code itself only makes its own video `bad`.
REFUSAL_CODE = "spm-refused"
REMEDY = "Add it to fetch.private_hosts to allow it."


class PrivateHost(Exception):
    """A host with a private address: this machine or its network."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} resolves to a private address.")


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet.

    >>> [is_public(a) for a in ("93.184.215.14", "127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3")]
    [True, False, False, False]
    """
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip in NAT64:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def resolve(host: str, port: int, allowed: Sequence[str]) -> list[str]:
    """The numeric addresses of a host; hosts and `host:port` of `allowed` may be private.

    Raises
    ------
    PrivateHost
        When one of them is not public, and the host is not `allowed`.
    OSError
        When there is no such host.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(sockaddr[0]) for *_, sockaddr in infos]
    is_allowed = not {host.lower(), f"{host.lower()}:{port}"}.isdisjoint(allowed)
    if not is_allowed and not all(map(is_public, addresses)):
        raise PrivateHost(host)
    return addresses


def upstream(scheme: str, host: str) -> SplitResult | None:
    """The proxy for a host in the environment variables http_proxy, https_proxy and no_proxy.

    Raises
    ------
    UserError
        When it is not an HTTP proxy.
    """
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url or proxy_bypass(host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname or not _has_port(parts):
        shown = url.rpartition("@")[2]  # without the password
        raise UserError(f"{scheme}_proxy {shown!r}: expected http://host:port")
    return parts


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is a number, or the usual one."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def basic_login(user: str, password: str) -> bytes:
    """The value of a header Proxy-Authorization."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


class Request:
    """The parts of a request to a proxy."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.method, target, version = head.split(b"\r\n")[0].decode("ascii").split(" ")
        self.tunnel = self.method == "CONNECT"
        parts = urlsplit(f"https://{target}" if self.tunnel else target)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"{target[:80]}: expected http:// or https://")
        self.scheme, self.host = parts.scheme, parts.hostname
        self.port = parts.port or PORTS[parts.scheme]
        path = parts._replace(scheme="", netloc="").geturl()
        path = path if path.startswith("/") else f"/{path}"
        self.line = f"{self.method} {path} {version}".encode("ascii")

    def head_for_server(self) -> bytes:
        """The head that the server itself expects; each connection carries one request."""
        return _closing(self.line + b"\r\n" + self.head.split(b"\r\n", 1)[1])

    def head_for_proxy(self, proxy: SplitResult) -> bytes:
        """The head that another proxy expects, with its login."""
        head = LOGIN.sub(b"", self.head) if self.tunnel else _closing(self.head)
        login = b""
        if proxy.username:
            account = basic_login(unquote(proxy.username), unquote(proxy.password or ""))
            login = b"Proxy-Authorization: " + account + b"\r\n"
        return head[:-2] + login + b"\r\n"


def _closing(head: bytes) -> bytes:
    """A head that asks the other side to close the connection after one exchange."""
    return HOP_HEADERS.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n"


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """A head up to its empty line, and the bytes received after it; b"" when it never ends."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = sock.recv(CHUNK_BYTES)
        if not chunk or len(received) > HEAD_BYTES:
            return b"", received
        received += chunk
    head, rest = received.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _relay(source: socket.socket, sink: socket.socket, until_s: float) -> None:
    """Copy all bytes until the source ends or time is up, then close the sink for writing."""
    with suppress(OSError):
        while time.monotonic() < until_s and (chunk := source.recv(CHUNK_BYTES)):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class SsrfFilterProxy(ThreadingTCPServer):
    """The proxy server.

    Parameters
    ----------
    allowed : sequence of str
        Hosts that may have private addresses.
    timeout_s : float
        Longest wait for a connection.
    limit_s : float
        Longest duration of a connection.
    remedy : str
        What the user can do when a host is refused.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, allowed: Sequence[str], timeout_s: float, limit_s: float, remedy: str
    ) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.allowed = [host.lower() for host in allowed]
        self.timeout_s, self.limit_s, self.remedy = timeout_s, limit_s, remedy
        password = token_urlsafe(24)
        self.login = basic_login(USER, password)
        self.url = f"http://{USER}:{password}@127.0.0.1:{self.server_address[1]}"

    def admits(self, head: bytes) -> bool:
        """Whether a request has the password of this proxy."""
        found = LOGIN.search(head)
        return bool(found and hmac.compare_digest(found[1].rstrip(), self.login))

    def connect(self, request: Request) -> tuple[socket.socket, bytes]:
        """Connect towards the requested host; the socket, and the bytes to send there first."""
        proxy = upstream(request.scheme, request.host)
        if proxy is None:
            head = b"" if request.tunnel else request.head_for_server()
            return self._connect_directly(request), head
        with suppress(socket.gaierror):  # a name that only the other proxy can resolve
            resolve(request.host, request.port, self.allowed)
        sock = socket.create_connection((proxy.hostname, proxy.port or 80), self.timeout_s)
        return sock, request.head_for_proxy(proxy)

    def _connect_directly(self, request: Request) -> socket.socket:
        errors: list[OSError] = []
        for address in resolve(request.host, request.port, self.allowed):
            try:
                return socket.create_connection((address, request.port), self.timeout_s)
            except OSError as error:
                errors.append(error)
        raise errors[0]


class ProxyHandler(StreamRequestHandler):
    """One connection of yt-dlp to the proxy."""

    server: SsrfFilterProxy

    def handle(self) -> None:
        """Check the host, connect, and copy bytes in both directions until one side closes."""
        self.connection.settimeout(self.server.timeout_s)
        with suppress(TimeoutError):
            head, rest = _read_head(self.connection)
            self.connection.settimeout(None)
            if head and self.server.admits(head):
                self._answer(head, rest)
            elif head:
                self._send_error(407, "the password of this proxy is missing", ASK_LOGIN)

    def _answer(self, head: bytes, rest: bytes) -> None:
        try:
            request = Request(head)
            remote, first = self.server.connect(request)
        except PrivateHost as error:
            self._send_error(403, f"{REFUSAL_CODE} {error} {self.server.remedy}")
        except (ValueError, UserError) as error:
            self._send_error(403, f"{REFUSAL_CODE} {error}")
        except OSError as error:
            self._send_error(502, error.strerror or str(error))
        else:
            with remote, suppress(OSError):  # a broken connection ends on both sides
                # Longer than yt-dlp's own limit, so that yt-dlp reports the time-out itself.
                remote.settimeout(2 * self.server.timeout_s)
                self._exchange(request, remote, first, rest)

    def _exchange(self, request: Request, remote: socket.socket, first: bytes, rest: bytes) -> None:
        if request.tunnel and not first:
            self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        remote.sendall(first + rest)
        until_s = time.monotonic() + self.server.limit_s
        Thread(target=_relay, args=(self.connection, remote, until_s), daemon=True).start()
        if not request.tunnel:  # the next request of this connection could name another host
            head, body = _read_head(remote)
            self.connection.sendall(_closing(head) + body if head else body)
        _relay(remote, self.connection, until_s)

    def _send_error(self, code: int, message: str, header: str = "") -> None:
        phrase = re.sub(r"[^ -~]", "?", message)[:200]
        answer = (
            f"HTTP/1.1 {code} {phrase}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        with suppress(OSError):
            self.connection.sendall(answer.encode("ascii"))


@contextmanager
def running(
    allowed: Sequence[str], timeout_s: float, limit_s: float, remedy: str = REMEDY
) -> Iterator[str]:
    """Run a proxy while the context lasts; gives the proxy's URL, which has its password.

    The parameters are those of `SsrfFilterProxy`.

    Raises
    ------
    UserError
        When the environment names a proxy that is not an HTTP proxy.
    """
    for scheme in PORTS:
        upstream(scheme, "example.org")
    with SsrfFilterProxy(allowed, timeout_s, limit_s, remedy) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.url
        finally:
            server.shutdown()
