"""Fetches manifests and app directories over HTTP. Controller (kernel, CLI) only; never the supervisor.

What is fetched is not trusted: there is a deadline for the whole of it, a bound on its size, also once it is unpacked,
and on redirects. None of those leads from https to http, nor from another machine to this one's own servers. What the
bytes mean is left to `places`.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import threading
import time
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from .. import __version__
from ..errors import LabError
from ..network import Network, is_this_machine, survey, tls_context, without_secret

_SHOWN = re.compile(r"text/html|application/(xhtml\+xml|pdf)|(image|audio|video|font)/.*")
"""Media types that are for a window, whatever their bytes."""
_BLANKS = b"\xef\xbb\xbf \t\r\n"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch may take. `seconds`: for all of it, name resolution and redirects included. `size`: bytes of one
    answer. `redirects`: of one address. `at_once`: addresses that are asked at the same time.
    """

    seconds: float = 10.0
    size: int = 8 << 20
    redirects: int = 5
    at_once: int = 8


class Answer(NamedTuple):
    """What an address answered: `url` after redirects, `status`, media type, body (empty for a page: nobody reads it).

    `problem`: why there is no answer, in words that follow the address; all else is empty then.
    """

    url: str
    status: int = 0
    kind: str = ""
    body: bytes = b""
    problem: str = ""

    @property
    def page(self) -> bool:
        """Whether this is something for a window, not a manifest."""
        return bool(_SHOWN.fullmatch(self.kind)) or _no_json(self.body)

    @property
    def refusal(self) -> str:
        """Why there is no JSON in it, in words that follow the address; empty where there may be."""
        if self.problem:
            return self.problem
        if not 200 <= self.status < 300:
            return f"answered with HTTP status {self.status}"
        return "is a page" if self.page else ""


def _no_json(beginning: bytes) -> bool:
    text = beginning.lstrip(_BLANKS)
    return bool(text) and text[:1] not in b"[{"


def fetch(urls: Iterable[str], bounds: Bounds | None = None) -> list[Answer]:
    """GET each address, on a thread with a loop of its own, for the kernel's own loop runs already. Never raises."""
    bounds, urls = bounds or Bounds(), list(urls)
    wanted = list(dict.fromkeys(urls))
    answers = {url: Answer(url, problem=f"gave no whole answer within {bounds.seconds:g} s") for url in wanted}
    deadline = time.monotonic() + bounds.seconds

    def run() -> None:
        # A name that does not resolve may hold the loop's end up beyond the deadline; nobody waits for that.
        asyncio.run(_fetch_all(wanted, bounds, deadline, answers))

    thread = threading.Thread(target=run, name="labplatform fetch", daemon=True)
    thread.start()
    thread.join(bounds.seconds + 0.5)
    return [answers[url] for url in urls]


async def _fetch_all(urls: list[str], bounds: Bounds, deadline: float, answers: dict[str, Answer]) -> None:
    import httpx  # 50 ms, which only those pay who fetch something

    network = survey().network
    gate = asyncio.Semaphore(bounds.at_once)

    async def one(client: Any, url: str) -> None:
        try:
            async with gate:
                answers[url] = await _get(client, url, bounds)
        except (httpx.HTTPError, httpx.InvalidURL, LabError, OSError, ValueError, zlib.error) as error:
            answers[url] = Answer(url, problem=_in_words(error, network, url))

    headers = {
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "gzip",
        "User-Agent": f"labplatform/{__version__}",
    }
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            async with httpx.AsyncClient(transport=_way(network), headers=headers, timeout=bounds.seconds) as client:
                await asyncio.gather(*(one(client, url) for url in urls))
    except TimeoutError:
        pass


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    return is_this_machine(urlsplit(url).hostname or "")


async def _get(client: Any, url: str, bounds: Bounds) -> Answer:
    for _ in range(bounds.redirects + 1):
        async with client.stream("GET", url) as response:
            target = response.headers.get("location")
            if response.status_code in (301, 302, 303, 307, 308) and target:
                former, url = url, urljoin(url, target)
                if urlsplit(url).scheme not in ("http", "https"):
                    raise LabError(f"leads on to {url[:200]}, which is no http(s) address")
                if is_here(url) and not is_here(former):
                    raise LabError(
                        f"leads on to {url[:200]}, and another machine may not have this one's servers asked"
                    )
                if urlsplit(former).scheme == "https" and urlsplit(url).scheme == "http":
                    raise LabError(f"leads on from https to {url[:200]}, where anybody on the way could change it")
                continue
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            answer = Answer(url, response.status_code, kind)
            return answer if answer.page else answer._replace(body=await _body(response, bounds.size))
    raise LabError(f"leads on more than {bounds.redirects} times")


async def _body(response: Any, most: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise LabError(f"answers in an encoding that was not asked for: {encoding[:40]}")
    unpack = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        # One byte more than there may be: a small answer can be a large one, packed.
        body += unpack.decompress(chunk, most + 1 - len(body)) if unpack else chunk
        if _no_json(body):
            break
        if len(body) > most:
            raise LabError(f"is larger than {most >> 20} MiB" if most >= 1 << 20 else f"is larger than {most} bytes")
    return bytes(body)


def _way(network: Network) -> Any:
    import httpx

    class Way(httpx.AsyncBaseTransport):
        """Each request the way that `Network` says, redirects included."""

        def __init__(self) -> None:
            self._transports: dict[tuple[str, str], httpx.AsyncHTTPTransport] = {}

        def _transport(self, scheme: str, proxy: str) -> httpx.AsyncHTTPTransport:
            # All those certificates take 0.1 s to read, and plain http needs none.
            verify = tls_context(network) if scheme == "https" or proxy.startswith("https") else False
            return httpx.AsyncHTTPTransport(verify=verify, proxy=proxy or None, trust_env=False)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            key = (request.url.scheme, network.proxy_for(str(request.url)))
            if key not in self._transports:
                self._transports[key] = self._transport(*key)
            return await self._transports[key].handle_async_request(request)

        async def aclose(self) -> None:
            for transport in self._transports.values():
                await transport.aclose()

    return Way()


def _in_words(error: Exception, network: Network, url: str) -> str:
    """Why an address gave no answer, as what follows it in a sentence."""
    if isinstance(error, LabError):
        return error.message
    try:
        proxy = network.proxy_for(url)
    except ValueError:
        proxy = ""
    text = _system_says(error) or str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = text.partition("verify failed: ")[2].partition(" (_ssl")[0] or text
        text = f"its certificate is not trusted: {why}. If it is your company's, name its CA in SSL_CERT_FILE"
    if isinstance(error, zlib.error):
        text = f"its answer cannot be unpacked: {text}"
    return f"cannot be fetched{f' through the proxy {without_secret(proxy)}' if proxy else ''}: {text}"


def _system_says(error: BaseException | None) -> str:
    """What the operating system said at the root of it, such as "Connection refused"; empty if it said nothing."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
            # asyncio writes its own words in place of the system's.
            return os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror
        inside = error.exceptions[0] if isinstance(error, ExceptionGroup) else None
        error = inside or error.__cause__ or error.__context__
    return ""
