"""Fetching: deadlines, sizes, redirects, odd servers, the proxy and the company's certificates."""

import gzip
import socket
import threading
import time
import tracemalloc

import pytest
from support.proxy import Company, Proxy
from support.web import Web

from labplatform.directory import load
from labplatform.directory.fetch import Bounds, fetch
from labplatform.errors import ManifestError

pytestmark = pytest.mark.usefixtures("no_way")

QUICK = Bounds(seconds=1.0, size=10_000)


def one(url: str, bounds: Bounds | None = None):
    (answer,) = fetch([url], bounds)
    return answer


@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8", "", "application/octet-stream"])
def test_json_is_read_whatever_the_server_calls_it(web, kind):
    answer = one(web.json("/x", {"a": 1}, kind=kind))
    assert (answer.status, answer.body, answer.problem, answer.page) == (200, b'{"a": 1}', "", False)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<p>"),
        ("application/pdf", b"%PDF"),
        ("image/png", b"{"),
        ("", b" \n<html>"),
        ("text/plain", b"hi"),
    ],
)
def test_what_is_for_a_window_is_not_read(web, kind, body):
    assert one(web.serve("/x", body * 100_000, Content_Type=kind), QUICK).page


def test_a_page_that_never_ends_is_known_by_its_head(web):
    asked = time.monotonic()
    assert one(web.never("/x"), QUICK).page
    assert time.monotonic() - asked < 0.9


@pytest.mark.parametrize("status", [404, 500, 204])
def test_a_status_is_an_answer(web, status):
    assert one(web.json("/x", [], status=status)).status == status


def test_several_at_once(web):
    urls = [web.json(f"/{number}", [number]) for number in range(20)]
    assert [answer.body for answer in fetch([*urls, f"{web.address}/none"])[:20]] == [
        f"[{number}]".encode() for number in range(20)
    ]


# --- bounds -----------------------------------------------------------------------------------------------------------


def _slow(web: Web, drip: bytes, head: bool) -> str:
    """An answer that comes byte by byte, each long before a deadline for a single byte would be over."""

    def answer(handler) -> None:
        if not head:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[")
        try:
            while not web.released.wait(0.1):
                handler.wfile.write(drip)
                handler.wfile.flush()
        except OSError:
            pass

    return web.call("/slow", answer)


@pytest.mark.parametrize(("drip", "head"), [(b" ", False), (b"H", True)], ids=["body", "head"])
def test_an_answer_that_drips_meets_the_deadline_for_the_whole(web, drip, head):
    asked = time.monotonic()
    assert one(_slow(web, drip, head), QUICK).problem == "gave no whole answer within 1 s"
    assert time.monotonic() - asked < 3


def test_a_server_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = one(f"http://127.0.0.1:{silent.getsockname()[1]}/", QUICK)
    assert answer.problem == "gave no whole answer within 1 s"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_what_is_too_large(web, packed):
    body = b"[" + b" " * 50_000_000 + b"]" if packed else b"[" + b" " * 20_000
    headers = {"Content_Encoding": "gzip"} if packed else {}
    url = web.serve("/x", gzip.compress(body) if packed else body, Content_Type="application/json", **headers)
    one(web.json("/first", []))  # what the first fetch imports is not what is measured
    tracemalloc.start()
    try:
        answer = one(url, Bounds(seconds=5, size=10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.problem, answer.body) == ("is larger than 10000 bytes", b"")
    assert peak < 5_000_000, "it is not unpacked any further than it may be large"


def test_what_is_packed_is_unpacked(web):
    url = web.serve("/x", gzip.compress(b'["a"]'), Content_Type="application/json", Content_Encoding="gzip")
    assert one(url).body == b'["a"]'
    url = web.serve("/y", b"no gzip", Content_Type="application/json", Content_Encoding="gzip")
    assert one(url).problem.startswith("cannot be fetched: its answer cannot be unpacked: ")
    url = web.serve("/z", b"[]", Content_Type="application/json", Content_Encoding="br")
    assert one(url).problem == "answers in an encoding that was not asked for: br"


def test_redirects(web):
    web.json("/end", [1])
    web.serve("/a", b"", 302, Location="/end?x=1")
    answer = one(f"{web.address}/a")
    assert (answer.url, answer.body) == (f"{web.address}/end?x=1", b"[1]")
    web.serve("/round", b"", 307, Location="/round")
    assert one(f"{web.address}/round").problem == "leads on more than 5 times"
    for target in ("file:///etc/passwd", "ftp://x/", "app://ticker-list/"):
        web.serve("/away", b"", 301, Location=target)
        assert one(f"{web.address}/away").problem == f"leads on to {target}, which is no http(s) address"
    web.serve("/nowhere", b"[]", 302)
    assert one(f"{web.address}/nowhere").status == 302


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/", "cannot be fetched: Connection refused"),
        ("http://nowhere.invalid/", "cannot be fetched: "),
        ("http://[::1", "cannot be fetched: "),
        ("http://", "cannot be fetched: "),
        ("http://127.0.0.1:99999/", "cannot be fetched: "),
        ("http://a b/", "cannot be fetched: "),
    ],
)
def test_what_cannot_be_asked_is_said(url, words):
    answer = one(url, QUICK)
    assert answer.problem.startswith(words) and len(answer.problem) > len("cannot be fetched: ")


def test_what_is_no_http_is_said():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def talk() -> None:
            with other.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        answer = one(f"http://127.0.0.1:{other.getsockname()[1]}/", QUICK)
        thread.join(5)
    assert answer.problem.startswith("cannot be fetched: ")


# --- a company's network ----------------------------------------------------------------------------------------------


@pytest.fixture
def company(tmp_path):
    return Company(tmp_path)


@pytest.fixture
def far():
    """A server with TLS, for names that only the proxy knows."""
    server = Web()
    yield server
    server.close()


def test_an_unknown_certificate_is_refused_until_it_is_named(web, company, monkeypatch):
    company.secure(web, "127.0.0.1")
    url = web.json("/x", [1])
    problem = one(url).problem
    assert "its certificate is not trusted: " in problem
    assert problem.endswith("If it is your company's, name its CA in SSL_CERT_FILE")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(company.file))
        assert one(url).body == b"[1]"
        monkeypatch.delenv(name)


def test_through_a_proxy(web, far, company, monkeypatch):
    web.json("/plain", ["plain"])
    company.secure(far, "appd.example").json("/secret", ["secret"])
    proxy = Proxy(web, far)
    monkeypatch.setenv("SSL_CERT_FILE", str(company.file))
    try:
        monkeypatch.setenv("ALL_PROXY", proxy.address)
        assert one("http://appd.example/plain").body == b'["plain"]'
        assert one("https://appd.example/secret").body == b'["secret"]'
        assert proxy.seen == [("GET", "http://appd.example/plain"), ("CONNECT", "appd.example:443")]
        # This machine is asked directly, and so is what NO_PROXY names.
        assert one(f"{web.address}/plain").body == b'["plain"]'
        monkeypatch.setenv("NO_PROXY", "appd.example")
        assert one("http://appd.example/plain", QUICK).problem
        assert len(proxy.seen) == 2
    finally:
        proxy.close()


def test_another_machine_leads_to_none_of_this_one_s_servers(web, monkeypatch):
    web.json("/private", ["private"])
    web.serve("/away", b"", 302, Location=f"{web.address}/private")
    proxy = Proxy(web)
    monkeypatch.setenv("HTTP_PROXY", proxy.address)
    try:
        problem = one("http://appd.example/away").problem
        assert problem.startswith(f"leads on to {web.address}/private, and another machine may not")
        assert web.asked == ["/away"]
        settings = {"labplatform": f"{web.address}/private"}
        url = "http://appd.example/v2/apps/x"
        record = {
            "appId": "x",
            "title": "X",
            "type": "web",
            "details": {"url": "https://x/"},
            "hostManifests": settings,
        }
        web.json("/v2/apps/x", record)
        with pytest.raises(ManifestError, match=r"\$\.hostManifests\.labplatform: expected an address elsewhere"):
            load(url)
        assert web.asked == ["/away", "/v2/apps/x"]
    finally:
        proxy.close()


def test_a_proxy_that_wants_a_password(web, monkeypatch):
    web.json("/plain", ["plain"])
    proxy = Proxy(web, user="me", password="se cret")
    try:
        monkeypatch.setenv("HTTP_PROXY", proxy.address.replace("se cret", "se%20cret"))
        assert one("http://appd.example/plain").body == b'["plain"]'
        monkeypatch.setenv("HTTP_PROXY", proxy.address.replace("me:se cret@", ""))
        assert one("http://appd.example/plain").status == 407
        assert proxy.refused == 1
    finally:
        proxy.close()


def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    problem = one("http://appd.example/x").problem
    assert problem.startswith("cannot be fetched through the proxy http://127.0.0.1:1: ")
    assert "secret" not in problem
