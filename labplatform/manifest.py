"""What an app is: `Manifest` and its parts, frozen and validated. Shared by all processes.

The file is OpenFin-style JSON (`app.json`): `startup_app` holds OpenFin's own keys in OpenFin's own spelling, and the
keys beside it are this platform's. An unknown key is a warning, kept in `Manifest.warnings`; a wrong value is a
`ManifestError` that names the file, the path inside it, what was expected and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import unquote, urlsplit

import msgspec

from .reading import Unexpected, check_json, convert, decode, read_file, reason, unknown_keys, unreadable, wrong

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _UNITS[_letter + "B"] = 1000**_power
    _UNITS[_letter + "IB"] = 1024**_power

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_LARGEST_SIZE = 2**63 - 1

MAX_REMARKS = 50
"""Unknown keys that are told apart; a file with more is no manifest of ours."""

# The description is what a person reads in an error, instead of the pattern. `\Z`, for `$` lets a line break through.
AppId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z",
        description="lower-case letters, digits and hyphens, at most 63, no hyphen first or last",
    ),
]
PythonFunction = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z",
        description='a Python function as "module:function"',
    ),
]
Color = Annotated[
    str, msgspec.Meta(pattern=r"^#[0-9A-Fa-f]{6}\Z", description='a color as "#rrggbb", such as "#0072b2"')
]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="text of 1 to 200 characters")]
Length = Annotated[int, msgspec.Meta(ge=100, le=10_000)]
Position = Annotated[int, msgspec.Meta(ge=-100_000, le=100_000)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
PageTransport = Literal["auto", "websocket", "host"]
"""How a page reaches the supervisor: by a WebSocket of its own, through its app host, or through its host where it
cannot open a WebSocket."""
CorePercent = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
ProcessCount = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
_MOST = {"max_cpu": 1e6, "max_processes": 100_000}
LEAST_HEAP, MOST_HEAP = 64 << 20, 4 << 30
"""Bytes of JavaScript heap that V8 can be told to take; below, no page starts."""


class Size(int):
    """A number of bytes; from JSON a whole number, or text such as "500MB" (10**6) or "350MiB" (2**20)."""

    words = 'a size above zero: bytes, or text such as "500MB" or "350MiB"'


def parse_size(value: int | str, field: str = "") -> int:
    """Bytes from a whole number or from text such as "500MB", "350MiB", "1.5GB". Raises `ValueError` about `field`."""
    size = value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value[:100])
        unit = match and _UNITS.get(match[2].upper())
        if not match or unit is None:
            raise Unexpected(Size.words, value, field)
        size = int(float(match[1]) * unit)
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
        raise Unexpected(Size.words, value, field)
    if size > _LARGEST_SIZE:
        raise Unexpected("a size below 8 EiB", value, field)
    return size


def size_in_words(size: float) -> str:
    """Bytes for people: "350 MB", "25.3 GB"."""
    for scale, unit in ((1e12, "TB"), (1e9, "GB")):
        if size >= 10 * scale:
            return f"{size / scale:.4g} {unit}"
    return f"{size / 1e6:.0f} MB"


def _inside(path: str) -> bool:
    """Whether a relative path with forward slashes names something below its folder, as a browser and Linux read it."""
    if not path or path.startswith("/") or "\\" in path or any(character < " " for character in path):
        return False
    depth = 0
    for step in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(step, 1)
        if depth < 0:
            return False
    return depth > 0


_PAGE_WORDS = 'an http(s) address, or a file beside the manifest, such as "index.html"'


def check_page(url: str) -> None:
    """See that this is what a window can open. Raises `Unexpected` for the field `url`."""

    def refuse(expected: str) -> NoReturn:
        raise Unexpected(expected, url, "url")

    if url != url.strip() or any(character < " " or character == "\x7f" for character in url):
        refuse(f"{_PAGE_WORDS}, without line breaks or blanks around it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        refuse(f"{_PAGE_WORDS} ({error})")
    if parts.scheme in ("http", "https"):
        if not host:
            refuse("an http(s) address with a host")
    elif parts.scheme or parts.netloc or not parts.path:
        refuse(_PAGE_WORDS)
    # The server of the folder decodes %2e and %5c, so what they hide counts too.
    elif not _inside(unquote(parts.path)):
        refuse("a file inside the manifest's folder, its path relative and with forward slashes")


_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """The origin of an address, as browsers write it: `scheme://host[:port]`. Empty for an address that has none."""
    try:
        # What a page has made itself, and shows, is of that page's origin.
        parts = urlsplit(url.removeprefix("blob:"))
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:
        return ""
    if not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _PORTS.get(parts.scheme) else "")


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Every part: frozen, camelCase in the file."""


class ResourceLimits(_Part, frozen=True):
    """What one app may use, with all of its processes; what is not given is not limited.

    `max_memory`: bytes, or text such as "500MB"; an app that goes over it is ended. `max_cpu`: percent of one core (50
    is half a core, 200 is two); an app that wants more waits. `max_processes`: more of them end the app. `js_heap`:
    JavaScript heap of its page, 64 MiB to 4 GiB; instead of the platform's own setting.
    """

    max_memory: Size | None = None
    max_cpu: CorePercent | None = msgspec.field(default=None, name="maxCPU")
    max_processes: ProcessCount | None = None
    js_heap: Size | None = None

    def __post_init__(self) -> None:
        # A person's call gets the same look as a file, which has been through msgspec by now.
        for name, kind in (("max_memory", Size), ("js_heap", Size), ("max_cpu", float), ("max_processes", int)):
            value = getattr(self, name)
            if value is None or type(value) is Size:
                continue
            if kind is Size:
                msgspec.structs.force_setattr(self, name, Size(parse_size(value, name)))
            elif isinstance(value, bool) or not isinstance(value, int | kind):
                raise Unexpected("a number", value, name)
            elif not 0 < value <= _MOST[name]:
                raise Unexpected(f"a number above 0 and at most {_MOST[name]:,.0f}", value, name)
        if self.js_heap is not None and not LEAST_HEAP <= self.js_heap <= MOST_HEAP:
            raise Unexpected("64 MiB to 4 GiB", self.js_heap, "jsHeap")

    def changed(self, changes: ResourceLimits, lifted: Iterable[str] = ()) -> ResourceLimits:
        """These, with what is given in `changes` instead, and without those named in `lifted`."""
        given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not None}
        return msgspec.structs.replace(self, **dict.fromkeys(lifted), **given)


class RestartPolicy(_Part, frozen=True):
    """When an app that ended is started again: at most `max_restarts` times within `within_seconds`, then `failed`.

    `when`: "never", "on-failure", or "always", which is also after an exit that was clean, unless somebody asked for
    it. A second, slow window of `slow_max_restarts` within `slow_within_seconds` catches what never trips the first,
    such as one hang after the other. The first restart waits `backoff` seconds, each further one twice as long, up to
    `max_backoff`, and each by up to the share `jitter` less, so that apps which fell together do not rise together; an
    app that stayed up for `stable_after` seconds starts counting its back-off afresh. What it had saved may be what it
    dies of: after `restore_attempts` ends in a row, each of them before it was stable and of a page that had been given
    that back, the next start comes without it; 0 gives it back each time.
    """

    when: Literal["never", "on-failure", "always"] = "on-failure"
    max_restarts: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 5
    within_seconds: PositiveSeconds = 10.0
    slow_max_restarts: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 20
    slow_within_seconds: PositiveSeconds = 3600.0
    backoff: PositiveSeconds = 0.1
    max_backoff: PositiveSeconds = 30.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.25
    stable_after: PositiveSeconds = 10.0
    restore_attempts: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 3


class RecyclePolicy(_Part, frozen=True):
    """When a bloated or old app gets a fresh process, which takes its place unseen.

    `memory`: bytes, or text such as "400MB", which the app exceeds for `breaches` samples in a row. `max_age`: seconds.
    """

    memory: Size | None = None
    breaches: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 3
    max_age: PositiveSeconds | None = None


class SandboxPolicy(_Part, frozen=True):
    """What of the boundary around an app is on, where the platform and the machine have one.

    `boundary`: keep it from its neighbours' processes and files. `network`: it may use the machine's.
    """

    boundary: bool = True
    network: bool = True


class StartupApp(_Part, frozen=True):
    """OpenFin's `startup_app`: identity, page and window. Sizes are CSS pixels."""

    uuid: AppId
    name: Words
    url: str | None = None
    description: str = ""
    default_width: Length = 800
    default_height: Length = 600
    default_left: Position | None = None
    default_top: Position | None = None
    auto_show: bool = True
    resizable: bool = True
    process_affinity: Words | None = None
    resource_limits: ResourceLimits = ResourceLimits()

    def __post_init__(self) -> None:
        if self.url is not None:
            check_page(self.url)


class Look(_Part, frozen=True):
    """An app's one colour (`#rrggbb`) and glyph (an SVG file beside the manifest), the same wherever it is shown."""

    color: Color | None = None
    glyph: str | None = None

    def __post_init__(self) -> None:
        if self.glyph is not None and not (_inside(self.glyph) and self.glyph.lower().endswith(".svg")):
            raise Unexpected('an SVG file inside the manifest\'s folder, such as "glyph.svg"', self.glyph, "glyph")


class Image(_Part, frozen=True):
    """An icon or a picture of an app: its address, `size` as "256x256", media type, caption."""

    src: str
    size: str | None = None
    type: str | None = None
    label: str | None = None


class About(_Part, frozen=True):
    """What an app directory says of an app beside what its window needs; other apps are told most of it.

    `app_id`: the app's id for FDC3, which may be any text. `directory`: the host of the app directory that it comes
    from; empty for a file's.
    """

    app_id: str
    directory: str = ""
    name: str | None = None
    version: str | None = None
    tooltip: str | None = None
    lang: str | None = None
    publisher: str | None = None
    categories: tuple[str, ...] = ()
    icons: tuple[Image, ...] = ()
    screenshots: tuple[Image, ...] = ()


class OpenFin(_Part, frozen=True):
    """Who a page is for OpenFin's API: its page finds itself as `fin.me`."""

    uuid: str
    name: str
    entity: Literal["window", "view"] = "window"
    custom_data: Any = None


class Manifest(_Part, frozen=True):
    """One app: OpenFin's `startup_app`, and what this platform adds.

    `python` names a function (`module:function`) that runs beside the page in the app's own process; without a `url`
    the app is a service without a window. `requires` names apps that are launched along with this one. `folder` is
    where the file lies (`None` for an app made from a bare URL); relative pages are served from there.

    `storage`: how long its pages' cookies and local storage last, and the state that they save: as long as the platform
    ("session"), or for good. One instance of an app at a time has its persistent storage, the first one, and none that
    shares its renderer; others have storage for the session.

    `interop` is as in an app directory: `intents.listensFor` names the intents it handles. OpenFin's key
    `currentContextGroup` beside that names the user channel that its page is on from the start, by its id
    ("fdc3.channel.1") or its colour ("red").

    `page_transport`: how the page reaches the supervisor; `None` as the platform has it. "host" is for pages that may
    not use the network.

    `about` is there for an app of an app directory, `openfin` for one of a manifest that is written for OpenFin.
    """

    startup_app: StartupApp = msgspec.field(name="startup_app")
    python: PythonFunction | None = None
    storage: Literal["session", "persistent"] = "session"
    page_transport: PageTransport | None = None
    requires: tuple[AppId, ...] = ()
    look: Look = Look()
    restart: RestartPolicy = RestartPolicy()
    recycle: RecyclePolicy = RecyclePolicy()
    sandbox: SandboxPolicy = SandboxPolicy()
    interop: dict[str, Any] = {}
    about: About | None = None
    openfin: OpenFin | None = None
    folder: str | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.startup_app.url is None and self.python is None:
            raise Unexpected("a page, or a `python` function to run without one", None, "startup_app.url")
        if self.app_id in self.requires:
            raise Unexpected("other apps than this one", list(self.requires), "requires")
        if not isinstance(self.user_channel, str | None):
            expected = 'the id of a user channel, such as "fdc3.channel.1"'
            raise Unexpected(expected, self.user_channel, "interop.currentContextGroup")

    @property
    def uuid(self) -> str:
        """The app's name on the platform, in `app://` addresses and in folders: `startup_app.uuid`."""
        return self.startup_app.uuid

    @property
    def app_id(self) -> str:
        """The app's identity for other apps: its uuid, or what an app directory calls it."""
        return self.about.app_id if self.about else self.uuid

    @property
    def directory(self) -> str:
        """The host of the app directory that it comes from; empty for an app of this machine."""
        return self.about.directory if self.about else ""

    @property
    def title(self) -> str:
        """The app's name for people."""
        return self.startup_app.name

    @property
    def user_channel(self) -> str | None:
        """The user channel that it is on from the start, `interop.currentContextGroup`; `None`: on none."""
        return self.interop.get("currentContextGroup")

    @property
    def has_page(self) -> bool:
        """Whether it opens a window with a page; a service does not."""
        return self.startup_app.url is not None

    @property
    def page_url(self) -> str | None:
        """The address that the window opens: a page beside the manifest becomes `app://<uuid>/…`."""
        url = self.startup_app.url
        if url is None or urlsplit(url).scheme in ("http", "https"):
            return url
        return f"app://{self.uuid}/{url.lstrip('/')}"

    @property
    def origin(self) -> str | None:
        """The one origin whose main frame gets the page agent: `scheme://host[:port]`."""
        return None if self.page_url is None else origin_of(self.page_url)


def _size_hook(kind: type, value: Any) -> Any:
    if kind is Size:
        return Size(parse_size(value))
    raise NotImplementedError(kind)


# --- reading ----------------------------------------------------------------------------------------------------------

_NOT_IN_FILES = ("about", "openfin", "folder", "warnings")


def parse_manifest(
    data: Any,
    *,
    file: str = "<manifest>",
    folder: str | None = None,
    written: Callable[[str], str] = lambda where: where,
) -> Manifest:
    """A `Manifest` from decoded JSON. Raises `ManifestError`; unknown keys are collected in `warnings`.

    `resourceLimits` may stand beside `startup_app` instead of in it. `written`: where a path inside `data` stands in
    the file, should that differ.
    """
    check_json(data, file)
    if not isinstance(data, dict):
        raise wrong(file, written("$"), "an object", data)
    app, limits = data.get("startup_app"), data.get("resourceLimits")
    beside = isinstance(app, dict) and "resourceLimits" in data

    def as_written(where: str) -> str:
        return written(where.replace("$.startup_app.resourceLimits", "$.resourceLimits") if beside else where)

    if beside:
        if "resourceLimits" in app:
            raise wrong(file, written("$.resourceLimits"), "it once, here or in startup_app", limits)
        data = {key: value for key, value in data.items() if key != "resourceLimits"}
        data["startup_app"] = app | {"resourceLimits": limits}
    unknown = islice(unknown_keys(data, Manifest, hidden=_NOT_IN_FILES), MAX_REMARKS)
    remarks = [f"{file}: unknown key {as_written(where)}{hint}" for where, hint in unknown]
    data = {key: value for key, value in data.items() if key not in _NOT_IN_FILES}
    whole = data | {"warnings": remarks, "folder": folder}
    return convert(whole, Manifest, file, dec_hook=_size_hook, written=as_written)


def load_manifest(path: str | Path) -> Manifest:
    """Read one `app.json` (or the `app.json` of a folder). Raises `ManifestError`."""
    file = Path(path)
    try:
        if "\0" in str(file):
            raise ValueError("embedded null byte")
        str(file).encode()
        if file.is_dir():
            file = file / "app.json"
        folder = file.parent.resolve(strict=True) if file.parent.exists() else file.parent
    except (OSError, ValueError, RuntimeError) as error:
        # A name that is not Unicode or holds a NUL, a folder that may not be entered, links in a circle.
        raise unreadable(ascii(str(file)), f"cannot be read: {reason(error)}", "a readable JSON file") from None
    return manifest_beside(decode(read_file(file), file), file, folder)


def manifest_beside(data: Any, file: Path, folder: Path) -> Manifest:
    """A `Manifest` from the decoded JSON of a file, and a look at the glyph beside it. Raises `ManifestError`."""
    manifest = parse_manifest(data, file=str(file), folder=str(folder))
    if manifest.look.glyph:
        glyph = folder / manifest.look.glyph
        try:
            there, inside = glyph.is_file(), glyph.resolve().is_relative_to(folder)
        except (OSError, RuntimeError):
            there = inside = False
        if there and not inside:
            expected = "an SVG file inside the manifest's folder, not a link out of it"
            raise wrong(str(file), "$.look.glyph", expected, manifest.look.glyph)
        if not there:
            remark = f"{file}: at $.look.glyph: there is no file {manifest.look.glyph} beside the manifest"
            manifest = msgspec.structs.replace(manifest, warnings=(*manifest.warnings, remark))
    return manifest
