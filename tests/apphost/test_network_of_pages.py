"""Pages behind a company's proxy and certificate authority, in real windows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.proxy import Company, Proxy
from support.web import Web

from labplatform.apphost.qt.environment import proxy_flags
from labplatform.errors import LaunchError
from labplatform.network import Network

pytestmark = pytest.mark.usefixtures("no_way")

PAGE = "<!doctype html><meta charset=utf-8><title>{}</title><script>fetch('/data.json').then((r) => r.text())</script>"


@pytest.fixture
def far(tmp_path) -> Iterator[Web]:
    """A server with TLS for names that only a proxy knows, signed by the company."""
    server = Web()
    yield server
    server.close()


def app(uuid: str, url: str) -> dict:
    return {"startup_app": {"uuid": uuid, "name": uuid, "url": url}}


def test_a_page_behind_proxy_and_company_ca(platform, web, far, tmp_path, monkeypatch):
    company = Company(tmp_path)
    company.secure(far, "desk.example", "127.0.0.1").page("/secret", PAGE.format("secret"))
    far.json("/data.json", ["far"])
    web.page("/plain", PAGE.format("plain"))
    proxy = Proxy(web, far, user="me", password="se@cret")
    monkeypatch.setenv("ALL_PROXY", proxy.address.replace("se@cret", "se%40cret"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(company.file))
    read = "fdc3.getInfo().then(() => document.title + ' ' + lab.connected)"
    try:
        with platform() as lab:
            secret = lab.launch(app("secret", "https://desk.example/secret"), timeout=60)
            assert secret.evaluate_js(read, timeout=20) == "secret true"
            assert secret.evaluate_js("fetch('/data.json').then((r) => r.text())", timeout=20) == '["far"]'
            assert ("CONNECT", "desk.example:443") in proxy.seen
            plain = lab.launch(app("plain", "http://desk.example/plain"), timeout=60)
            assert plain.evaluate_js(read, timeout=20) == "plain true"
            assert ("GET", "http://desk.example/plain") in proxy.seen
            # This machine is reached directly: the agent's connection above, and pages.
            proxy.seen.clear()
            own = lab.launch(app("own", f"{far.address}/secret"), timeout=60)
            assert own.evaluate_js(read, timeout=20) == "secret true"
            # The page before may still ask for its icon.
            assert [where for _, where in proxy.seen if "desk.example" not in where] == []
            # What the password is for stays in the order to the hosts.
            assert not any("se@cret" in entry.text or "se%40cret" in entry.text for entry in lab.events)
    finally:
        proxy.close()


def test_without_its_ca_a_page_is_refused_and_the_remedy_named(platform, far, tmp_path):
    Company(tmp_path).secure(far, "127.0.0.1").page("/secret", PAGE.format("secret"))
    with platform() as lab, pytest.raises(LaunchError) as caught:
        lab.launch(app("secret", f"{far.address}/secret"), timeout=60)
    assert "ERR_CERT_AUTHORITY_INVALID" in str(caught.value)
    assert "name its CA in SSL_CERT_FILE" in str(caught.value)


def test_no_proxy_and_a_wrong_setting(platform, web, monkeypatch):
    web.page("/plain", PAGE.format("plain"))
    proxy = Proxy(web)
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    monkeypatch.setenv("NO_PROXY", "direct.example")
    monkeypatch.setenv("HTTPS_PROXY", "no proxy at all")
    try:
        with platform() as lab:
            told = [entry.text for entry in lab.events]
            assert any(text.startswith("HTTPS_PROXY is not the address of a proxy") for text in told)
            with pytest.raises(LaunchError, match=r"http://www\.direct\.example/plain could not be loaded"):
                lab.launch(app("direct", "http://www.direct.example/plain"), timeout=60)
            # The page before may still ask for its icon.
            assert [where for _, where in proxy.seen if "desk.example" not in where] == []
            assert lab.launch(app("plain", "http://other.example/plain"), timeout=60).state == "running"
    finally:
        proxy.close()


@pytest.mark.parametrize(
    ("network", "flags"),
    [
        (Network(), []),
        (Network(direct=("a.example",)), []),
        (Network(http="http://me:secret@p:3128"), ["--proxy-server=http=http://p:3128"]),
        (
            Network(http="http://p:1", https="socks5h://q:2", direct=("corp", "10.0.0.0/8", "::1", "1.2.3.4", "*")),
            [
                "--proxy-server=http=http://p:1;https=socks5://q:2",
                "--proxy-bypass-list=corp;.corp;10.0.0.0/8;[::1];1.2.3.4;*",
            ],
        ),
    ],
)
def test_chromium_s_flags(network, flags):
    assert proxy_flags(network) == flags
