"""How this machine reaches the web: by which proxy, and whose certificates it trusts. Any process.

Read from the environment, by the controller; what it fetches and what the pages load then go the same way. A proxy is
named as for curl (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, in either case, with or without `http://`), and so is what
it is not for (`NO_PROXY`). This machine itself is never asked for through a proxy. Trust is only added to Mozilla's
list: the system's certificates, and those of the variables that OpenSSL, Requests, curl and node go by.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Environment variables that name a file of certificates; `SSL_CERT_DIR` names a folder of such files."""
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)
"""Where the distributions keep all certificates that the machine trusts, a company's own among them."""
LARGEST_BUNDLE = 8 << 20
"""Bytes of a file of certificates; the usual one has some 220 kB."""
MOST_CERTIFICATES = 1000
"""Certificates beside the browsers' own that are passed on to pages."""

_SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")
_HOST = re.compile(r"[A-Za-z0-9_.:-]+")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


class Network(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The way to the web. `http` and `https`: the proxy for such addresses, `scheme://[user:password@]host:port`.

    `direct`: names, addresses and networks for which there is none ("*": all), a name standing for all below it too.
    `certificates`: what is trusted beside Mozilla's list, as PEM.
    """

    http: str = ""
    https: str = ""
    direct: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()

    def proxy_for(self, url: str) -> str:
        """The proxy that an http(s) address is asked for through; empty where there is none. Raises `ValueError`."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return "" if not proxy or self._is_direct(parts.hostname or "", port) else proxy

    def _is_direct(self, host: str, port: int) -> bool:
        return is_this_machine(host) or any(_covers(entry, host.lower(), port) for entry in self.direct)


class Survey(NamedTuple):
    """What was found. `trusted`: how many certificates come from where; `problems`: what could not be taken."""

    network: Network
    trusted: dict[str, int]
    problems: tuple[str, ...]


def survey(environ: Mapping[str, str] = os.environ) -> Survey:
    """Look at the environment and at the files it names. Never raises: a wrong setting is a problem in the answer."""
    problems: list[str] = []
    proxies = {kind: _proxy(environ, kind, problems) for kind in ("http", "https")}
    certificates: dict[str, str] = {}
    for where, found in _bundles(environ, problems):
        certificates |= dict.fromkeys(sorted(found - certificates.keys() - _browsers_own()), where)
    kept = dict(list(certificates.items())[:MOST_CERTIFICATES])
    if len(kept) < len(certificates):
        problems.append(f"{len(certificates)} certificates beside Mozilla's; {MOST_CERTIFICATES} of them are taken")
    counts: dict[str, int] = {}
    for where in kept.values():
        counts[where] = counts.get(where, 0) + 1
    network = Network(
        **proxies, direct=_direct(environ) if any(proxies.values()) else (), certificates=tuple(map(_as_pem, kept))
    )
    return Survey(network, counts, tuple(problems))


# --- proxies ----------------------------------------------------------------------------------------------------------


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """A variable's name as it is set, and its value. The lower-case one counts first, as with curl."""
    for written in (name.lower(), name):
        if value := environ.get(written, "").strip():
            return written, value
    return name, ""


def _proxy(environ: Mapping[str, str], kind: str, problems: list[str]) -> str:
    for name in (f"{kind.upper()}_PROXY", "ALL_PROXY"):
        name, value = _variable(environ, name)
        if not value:
            continue
        address = value if "://" in value else f"http://{value}"
        try:
            parts = urlsplit(address)
            if parts.scheme in _SCHEMES and _HOST.fullmatch(parts.hostname or "") and (parts.port or 1) > 0:
                return address.rstrip("/")
        except ValueError:
            pass
        # Without its value: there may be a password in it.
        problems.append(f"{name} is not the address of a proxy, such as http://proxy.example:3128, and is passed over")
    return ""


def without_secret(proxy: str) -> str:
    """A proxy's address that may be shown."""
    scheme, _, rest = proxy.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if proxy else ""


def credentials(proxy: str) -> tuple[str, str]:
    """User and password for a proxy; empty where it has none."""
    parts = urlsplit(proxy)
    return unquote(parts.username or ""), unquote(parts.password or "")


def _direct(environ: Mapping[str, str]) -> tuple[str, ...]:
    _, value = _variable(environ, "NO_PROXY")
    entries = (re.sub(r"^\*?\.", "", entry.lower()) for entry in re.split(r"[,;\s]+", value))
    return tuple(
        dict.fromkeys(entry for entry in entries if entry == "*" or re.fullmatch(r"[a-z0-9_.:/\[\]-]+", entry))
    )


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its name or address alone, however that is written."""
    host = host.lower().rstrip(".")
    address = ip_address(host) or _short_address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    # Who connects to no address in particular is connected to this machine.
    return address.is_loopback or address.is_unspecified


def _short_address(host: str) -> ipaddress.IPv4Address | None:
    """An address as the system's resolver takes it, too: "127.1", "0x7f000001"."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
    except OSError:
        return None


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A host as an address; `None` for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    address = ip_address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if address and ip_address(entry):
        return address == ip_address(entry)
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal():
        if int(number) != port:
            return False
        entry = name
    return entry.strip("[]") == host or (address is None and host.endswith(f".{entry}"))


# --- certificates -----------------------------------------------------------------------------------------------------


def _bundles(environ: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, frozenset[bytes]]]:
    """Each place that certificates come from, with what is in it."""
    system = next((path for path in SYSTEM_BUNDLES if os.path.isfile(path)), "")
    for name in CA_FILES:
        if path := environ.get(name, "").strip():
            if system and os.path.realpath(path) == os.path.realpath(system):
                continue
            # Requests takes a folder too.
            read = _from_folder if os.path.isdir(path) else _from_file
            yield from _named(name, path, read, problems)
    folder = environ.get("SSL_CERT_DIR", "").strip()
    if folder and os.path.realpath(folder) != os.path.realpath(os.path.dirname(system)):
        yield from _named("SSL_CERT_DIR", folder, _from_folder, problems)
    if system:
        yield from _named("", system, _from_file, problems)


def _named(name, path, read, problems) -> Iterator[tuple[str, frozenset[bytes]]]:
    where = f"{name}={path}" if name else path
    try:
        found = read(path)
    except OSError as error:
        problems.append(f"{where} cannot be read: {error.strerror or error}")
        return
    if not found:
        problems.append(f"{where} holds no certificate in PEM form")
    yield where, found


def _from_file(path: str) -> frozenset[bytes]:
    about = os.stat(path)
    return _parsed(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=8)
def _parsed(path: str, _changed: int, size: int) -> frozenset[bytes]:
    if size > LARGEST_BUNDLE:
        raise OSError(0, f"it is larger than {LARGEST_BUNDLE >> 20} MiB")
    with open(path, "rb") as file:
        return frozenset(b"".join(body.split()) for body in _PEM.findall(file.read(LARGEST_BUNDLE)))


def _from_folder(path: str) -> frozenset[bytes]:
    found: frozenset[bytes] = frozenset()
    for file in sorted(Path(path).iterdir())[:MOST_CERTIFICATES]:
        if file.is_file():
            found |= _from_file(str(file))
    return found


def _browsers_own() -> frozenset[bytes]:
    """Mozilla's list, which Chromium brings in a form of its own."""
    import certifi

    return _from_file(certifi.where())


def _as_pem(body: bytes) -> str:
    lines = (body[start : start + 64].decode() for start in range(0, len(body), 64))
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def tls_context(network: Network) -> ssl.SSLContext:
    """What a client of ours trusts: Mozilla's list and the certificates above, as pages do."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    # Since Python 3.13 it refuses authorities that lack an extension which many a company's own do not have.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if network.certificates:
        context.load_verify_locations(cadata="\n".join(network.certificates))
    return context
