"""The way to the web as the environment names it: proxies, what is direct, and certificates beside Mozilla's."""

import ssl

import certifi
import pytest
from support.proxy import Company

from labplatform import messages, network
from labplatform.network import Network, is_this_machine, survey, tls_context, without_secret


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, "", ""),
        ({"HTTP_PROXY": "http://p:3128"}, "http://p:3128", ""),
        ({"https_proxy": "http://p:3128/"}, "", "http://p:3128"),
        ({"ALL_PROXY": "socks5h://p:1080"}, "socks5h://p:1080", "socks5h://p:1080"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:2"}, "http://all:1", "http://p:2"),
        ({"HTTP_PROXY": "http://upper:1", "http_proxy": "http://lower:1"}, "http://lower:1", ""),
        ({"HTTP_PROXY": "p:3128"}, "http://p:3128", ""),
        ({"HTTP_PROXY": "http://me:se%40cret@p:3128"}, "http://me:se%40cret@p:3128", ""),
        ({"HTTP_PROXY": "http://[::1]:3128"}, "http://[::1]:3128", ""),
        ({"HTTP_PROXY": "  "}, "", ""),
    ],
)
def test_proxies(environ, http, https):
    found = survey(environ)
    assert (found.network.http, found.network.https, found.problems) == (http, https, ())


@pytest.mark.parametrize("wrong", ["http://", "p:port", "ftp://p:1", "http://p:99999", "http://p --no-sandbox:1", "//"])
def test_what_is_no_proxy_is_passed_over_and_told_without_its_password(wrong):
    found = survey({"HTTPS_PROXY": wrong, "ALL_PROXY": "http://all:1"})
    assert (found.network.http, found.network.https) == ("http://all:1", "http://all:1")
    assert found.problems == (
        "HTTPS_PROXY is not the address of a proxy, such as http://proxy.example:3128, and is passed over",
    )
    assert "secret" not in str(survey({"HTTP_PROXY": "http://me:secret@p:port"}).problems)


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "http://example.org/", False),
        ("example.org", "http://example.org/", True),
        ("example.org", "http://www.EXAMPLE.org/", True),
        ("example.org", "http://badexample.org/", False),
        (".example.org", "http://example.org/", True),
        ("*.example.org", "http://www.example.org/", True),
        ("a, example.org ,b", "https://example.org/", True),
        ("*", "http://example.org/", True),
        ("example.org:8080", "http://example.org:8080/", True),
        ("example.org:8080", "http://example.org/", False),
        ("example.org:443", "https://www.example.org/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://ten.example/", False),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("0.1.2.3", "http://10.1.2.3/", False),
        ("[fe80::1]", "http://[fe80:0::1]/", True),
        ("not/a/network", "http://10.1.2.3/", False),
    ],
)
def test_what_is_direct(no_proxy, url, direct):
    found = survey({"ALL_PROXY": "http://p:1", "NO_PROXY": no_proxy}).network
    assert (found.proxy_for(url) == "") is direct


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_this_machine_is_never_asked_for_through_a_proxy(host):
    assert is_this_machine(host)
    assert survey({"ALL_PROXY": "http://p:1"}).network.proxy_for(f"http://{host}:8080/x") == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "127.1", "2130706433", "0x7f.1", "0", "[::]", "[::ffff:127.0.0.1]"])
def test_nor_is_it_known_by_one_spelling_alone(host):
    """A directory from elsewhere may have no server of this machine asked, whatever it calls it."""
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host", ["localhost.example", "128.0.0.1", "10.0.0.1", "", "::2", "128.1", "face", "::ffff:a00:1"]
)
def test_other_machines(host):
    assert not is_this_machine(host)


def test_a_secret_is_not_shown():
    assert without_secret("http://me:se@cret@p:3128") == "http://p:3128"
    assert without_secret("") == ""
    assert network.credentials("http://me:se%40cret@p:1") == ("me", "se@cret")


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_system(monkeypatch):
    monkeypatch.setattr(network, "SYSTEM_BUNDLES", ())


@pytest.mark.parametrize("name", network.CA_FILES)
def test_a_company_s_certificate_is_added_to_mozilla_s(tmp_path, no_system, name):
    company = Company(tmp_path)
    found = survey({name: str(company.file)})
    assert found.trusted == {f"{name}={company.file}": 1}
    assert found.problems == ()
    assert found.network.certificates == (company.file.read_text(),)
    context = tls_context(found.network)
    own = ssl.create_default_context(cafile=certifi.where())
    assert context.cert_store_stats()["x509"] == own.cert_store_stats()["x509"] + 1
    assert messages.decode(messages.encode(found.network), Network) == found.network


def test_what_mozilla_has_is_not_passed_on_again(no_system):
    assert survey({"SSL_CERT_FILE": certifi.where()}).network.certificates == ()


def test_folders_and_doubles(tmp_path, no_system):
    company = Company(tmp_path)
    (tmp_path / "again.crt").write_bytes(b"words before\r\n" + company.file.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "empty").mkdir()
    for environ in ({"SSL_CERT_DIR": str(tmp_path)}, {"REQUESTS_CA_BUNDLE": str(tmp_path)}):
        assert len(survey(environ).network.certificates) == 1
    both = survey({"SSL_CERT_DIR": str(tmp_path), "SSL_CERT_FILE": str(company.file)})
    assert both.trusted == {f"SSL_CERT_FILE={company.file}": 1}


def test_the_system_s_own_are_added(tmp_path, monkeypatch):
    company = Company(tmp_path)
    monkeypatch.setattr(network, "SYSTEM_BUNDLES", (str(tmp_path / "none"), str(company.file)))
    assert survey({}).trusted == {str(company.file): 1}
    # Many a machine's environment names the system's own.
    assert survey({"SSL_CERT_FILE": str(company.file)}).trusted == {str(company.file): 1}


@pytest.mark.parametrize("what", ["missing", "not PEM", "too large"])
def test_what_cannot_be_read_is_told(tmp_path, monkeypatch, no_system, what):
    file = tmp_path / "ca.pem"
    if what != "missing":
        file.write_text("no certificate")
    if what == "too large":
        monkeypatch.setattr(network, "LARGEST_BUNDLE", 5)
    found = survey({"SSL_CERT_FILE": str(file)})
    words = {
        "missing": "cannot be read: No such file or directory",
        "not PEM": "holds no certificate in PEM form",
        "too large": "cannot be read: it is larger than 0 MiB",
    }
    assert found.problems == (f"SSL_CERT_FILE={file} {words[what]}",)
    assert found.network == Network()
