"""The proxy, used by Python's own HTTP client."""

import http.client
import os
import subprocess
from urllib.parse import urlsplit

import pytest

from spm.base.errors import UserError
from spm.corpus.fetching import proxy
from spm.corpus.media import ffmpeg

HERE = ("127.0.0.1",)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def connect(address_of_proxy: str) -> http.client.HTTPConnection:
    parts = urlsplit(address_of_proxy)
    assert parts.hostname
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def login(address_of_proxy: str) -> dict[str, str]:
    parts = urlsplit(address_of_proxy)
    value = proxy.basic_login(parts.username or "", parts.password or "")
    return {"Proxy-Authorization": value.decode()}


def ask(address_of_proxy: str, address: str) -> tuple[int, str, bytes]:
    connection = connect(address_of_proxy)
    connection.request("GET", address, headers=login(address_of_proxy))
    answer = connection.getresponse()
    return answer.status, answer.reason, answer.read()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
     "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
     "fe80::1%2", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::10.0.0.1"],
)  # fmt: skip
def test_an_address_outside_of_the_public_internet_is_private(address):
    assert not proxy.is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_other_addresses_are_public(address):
    assert proxy.is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "[::1]"]
)
def test_this_machine_is_refused_however_it_is_written(site, no_proxies, host):
    site.answers["/secret"] = ["media"]
    with proxy.running([], 5, 60) as address_of_proxy:
        status, reason, _ = ask(address_of_proxy, site.root.replace("127.0.0.1", host) + "/secret")
    assert status == 403
    assert reason.startswith(proxy.REFUSAL_CODE)
    assert "private address" in reason
    assert not site.asked


def test_an_allowed_host_is_asked_and_answers_byte_for_byte(site, no_proxies, media):
    site.answers["/a"] = ["media"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, f"{site.root}/a")[2] == media.read_bytes()


def test_the_target_of_a_tunnel_is_checked(site, no_proxies):
    host = site.root.removeprefix("http://")
    site.answers["/a"] = ["page"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        through = connect(address_of_proxy)
        through.set_tunnel(host, headers=login(address_of_proxy))
        through.request("GET", "/a")
        assert through.getresponse().status == 200
        through.close()
        refused = connect(address_of_proxy)
        refused.set_tunnel(host.replace("127.0.0.1", "localhost"), headers=login(address_of_proxy))
        with pytest.raises(OSError, match=f"{proxy.REFUSAL_CODE} .*private address"):
            refused.request("GET", "/a")


def test_one_connection_carries_one_request(site, no_proxies):
    site.answers["/a"] = ["page"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        connection = connect(address_of_proxy)
        headers = {"Proxy-Connection": "keep-alive", **login(address_of_proxy)}
        connection.request("GET", f"{site.root}/a", headers=headers)
        answer = connection.getresponse()
        assert answer.getheader("Connection") == "close"
        assert answer.read()


@pytest.mark.parametrize(
    ("address", "status"),
    [("http://127.0.0.1:1/", 502), ("ftp://127.0.0.1/a", 403), ("http://nowhere.invalid/", 502)],
)
def test_an_unreachable_address_gives_an_http_error(no_proxies, address, status):
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, address)[0] == status


def test_a_connection_ends_at_its_time_limit(site, no_proxies):
    site.answers["/a"] = ["slow"]
    with proxy.running(HERE, 5, 0.3) as address_of_proxy, pytest.raises(http.client.IncompleteRead):
        ask(address_of_proxy, f"{site.root}/a")


def test_the_proxy_of_the_environment_is_used_for_public_addresses_only(
    site, no_proxies, monkeypatch
):
    # Any server shows whether it was asked.
    monkeypatch.setenv("http_proxy", site.root.replace("http://", "http://me:secret@"))
    site.answers["http://93.184.215.14/a"] = ["page"]
    with proxy.running([], 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, "http://93.184.215.14/a")[0] == 200
        assert ask(address_of_proxy, "http://10.0.0.1/a")[0] == 403
    assert list(site.counts()) == ["http://93.184.215.14/a"]


@pytest.mark.parametrize(
    "url",
    ["socks5://127.0.0.1:1080", "http://", "socks5://me:secret@127.0.0.1", "http://me:secret@a:b"],
)
def test_a_proxy_that_is_not_http_is_named_without_its_password(no_proxies, monkeypatch, url):
    monkeypatch.setenv("https_proxy", url)
    with (
        pytest.raises(UserError, match=r"https_proxy .*expected http://host:port") as caught,
        proxy.running([], 5, 60),
    ):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("header", [{}, {"Proxy-Authorization": "Basic c3BtOg=="}])
def test_who_does_not_know_the_password_of_the_proxy_gets_nothing(site, no_proxies, header):
    site.answers["/a"] = ["page"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        connection = connect(address_of_proxy)
        connection.request("GET", f"{site.root}/a", headers=header)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (407, b"")
        tunnel = connect(address_of_proxy)
        tunnel.set_tunnel(site.root.removeprefix("http://"), headers=header)
        with pytest.raises(OSError, match="407"):
            tunnel.request("GET", "/a")
    assert not site.asked


def test_two_proxies_have_different_passwords(no_proxies):
    with proxy.running([], 5, 60) as one, proxy.running([], 5, 60) as other:
        assert urlsplit(one).password != urlsplit(other).password


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_password_of_this_proxy_reaches_another_one(site, no_proxies, monkeypatch, scheme):
    """The environment's proxy gets its own password, and the server none."""
    received: list[bytes] = []
    monkeypatch.setattr(
        proxy.Request, "head_for_proxy", note(proxy.Request.head_for_proxy, received)
    )
    monkeypatch.setenv(f"{scheme}_proxy", site.root.replace("http://", "http://me:secret@"))
    site.answers["http://93.184.215.14/a"] = ["page"]
    with proxy.running([], 5, 60) as address_of_proxy:
        if scheme == "http":
            ask(address_of_proxy, "http://93.184.215.14/a")
        else:
            tunnel = connect(address_of_proxy)
            tunnel.set_tunnel("93.184.215.14", headers=login(address_of_proxy))
            with pytest.raises(OSError, match="501"):  # the server knows no tunnels
                tunnel.request("GET", "/a")
        own = login(address_of_proxy)["Proxy-Authorization"].encode()
    (head,) = received
    assert head.count(b"Proxy-Authorization") == 1
    assert proxy.basic_login("me", "secret") in head
    assert own not in head


def note(function, calls):
    def noting(*arguments):
        calls.append(function(*arguments))
        return calls[-1]

    return noting


def test_ffmpeg_gives_the_password_when_it_is_asked_for_it(site, no_proxies, tmp_path):
    site.answers["/film.mp4"] = ["media"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        done = subprocess.run(
            [ffmpeg.binary(), "-v", "error", "-i", f"{site.root}/film.mp4", "-f", "null", "-"],
            env={**os.environ, "http_proxy": address_of_proxy, "no_proxy": ""},
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert site.asked
