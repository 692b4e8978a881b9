"""The door, asked by Python's own HTTP client."""

import http.client

import pytest

from spm.base.config import UserError
from spm.corpus.fetching import proxy

HERE = ("127.0.0.1",)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(address_of_proxy: str, address: str) -> tuple[int, str, bytes]:
    line = http.client.HTTPConnection(address_of_proxy.removeprefix("http://"), timeout=10)
    line.request("GET", address)
    answer = line.getresponse()
    return answer.status, answer.reason, answer.read()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%2", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
     "2002:7f00:1::", "64:ff9b::10.0.0.1"],
)  # fmt: skip
def test_what_is_not_of_the_internet_at_large_is_private(address):
    assert not proxy.is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_the_rest_is_public(address):
    assert proxy.is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "[::1]"]
)
def test_this_machine_is_refused_however_it_is_written(site, no_proxies, host):
    site.answers["/secret"] = ["media"]
    with proxy.running([], 5, 60) as address_of_proxy:
        status, said, _ = ask(address_of_proxy, site.root.replace("127.0.0.1", host) + "/secret")
    assert (status, "private network" in said) == (403, True)
    assert not site.asked


def test_an_allowed_host_is_asked_and_answers_byte_for_byte(site, no_proxies, media):
    site.answers["/a"] = ["media"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, f"{site.root}/a")[2] == media.read_bytes()


def test_a_tunnel_is_judged_by_where_it_leads(site, no_proxies):
    host = site.root.removeprefix("http://")
    site.answers["/a"] = ["page"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        through = http.client.HTTPConnection(address_of_proxy.removeprefix("http://"), timeout=10)
        through.set_tunnel(host)
        through.request("GET", "/a")
        assert through.getresponse().status == 200
        through.close()
        refused = http.client.HTTPConnection(address_of_proxy.removeprefix("http://"), timeout=10)
        refused.set_tunnel(host.replace("127.0.0.1", "localhost"))
        with pytest.raises(OSError, match="private network"):
            refused.request("GET", "/a")


def test_one_connection_carries_one_request(site, no_proxies):
    site.answers["/a"] = ["page"]
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        line = http.client.HTTPConnection(address_of_proxy.removeprefix("http://"), timeout=10)
        line.request("GET", f"{site.root}/a", headers={"Proxy-Connection": "keep-alive"})
        answer = line.getresponse()
        assert answer.getheader("Connection") == "close"
        assert answer.read()


@pytest.mark.parametrize(
    ("address", "status"),
    [("http://127.0.0.1:1/", 502), ("ftp://127.0.0.1/a", 403), ("http://nowhere.invalid/", 502)],
)
def test_what_cannot_be_reached_is_said(no_proxies, address, status):
    with proxy.running(HERE, 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, address)[0] == status


def test_a_connection_has_an_end(site, no_proxies):
    site.answers["/a"] = ["slow"]
    with proxy.running(HERE, 5, 0.3) as address_of_proxy, pytest.raises(http.client.IncompleteRead):
        ask(address_of_proxy, f"{site.root}/a")


def test_the_environments_proxy_is_asked_in_turn_but_not_for_what_is_private(
    site, no_proxies, monkeypatch
):
    monkeypatch.setenv(
        "http_proxy", site.root.replace("http://", "http://me:secret@")
    )  # any server hears the question
    site.answers["http://93.184.215.14/a"] = ["page"]
    with proxy.running([], 5, 60) as address_of_proxy:
        assert ask(address_of_proxy, "http://93.184.215.14/a")[0] == 200
        assert ask(address_of_proxy, "http://10.0.0.1/a")[0] == 403
    assert list(site.counts()) == ["http://93.184.215.14/a"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://"])
def test_a_proxy_that_is_not_http_is_named(no_proxies, monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    with (
        pytest.raises(UserError, match=r"https_proxy .*expected http://host:port"),
        proxy.running([], 5, 60),
    ):
        pass
