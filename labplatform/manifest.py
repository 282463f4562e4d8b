"""What an app is: `Manifest` and its parts, frozen and validated. Shared by all processes.

The file is OpenFin-style JSON (`app.json`): `startup_app` holds OpenFin's own keys in OpenFin's own spelling, and the
keys beside it are this platform's. An unknown key is a warning, kept in `Manifest.warnings`; a wrong value is a
`ManifestError` that names the file, the path inside it, what was expected and what was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from .errors import ManifestError

_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _UNITS[_letter + "B"] = 1000**_power
    _UNITS[_letter + "IB"] = 1024**_power

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")

Positive = Annotated[int, msgspec.Meta(gt=0)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]
AppId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
PythonFunction = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class Size(int):
    """A number of bytes; from JSON a whole number, or text such as "500MB" (10**6) or "350MiB" (2**20)."""


def parse_size(value: int | str) -> int:
    """Bytes from a whole number or from text such as "500MB", "350MiB", "1.5GB". Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f'expected bytes or a size such as "500MB" or "350MiB", got {value!r}')
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        unit = match and _UNITS.get(match[2].upper())
        if not match or unit is None:
            raise ValueError(f'expected bytes or a size such as "500MB" or "350MiB", got {value!r}')
        value = int(float(match[1]) * unit)
    if value <= 0:
        raise ValueError(f"expected a size above zero, got {value}")
    return value


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Every part: frozen, camelCase in the file."""


class ResourceLimits(_Part, frozen=True):
    """What one app may use. Read and validated; this version of the platform does not enforce it yet.

    `max_memory`: bytes, or text such as "500MB". `max_cpu`: percent of one core (50 is half a core, 200 is two).
    """

    max_memory: Size | None = None
    max_cpu: Annotated[float, msgspec.Meta(gt=0)] | None = msgspec.field(default=None, name="maxCPU")


class RestartPolicy(_Part, frozen=True):
    """When an app that crashed is started again: at most `max_restarts` times within `within_seconds`, then `failed`.

    The first restart waits `backoff` seconds, each further one twice as long, up to `max_backoff`; an app that stayed
    up for `stable_after` seconds starts counting its back-off afresh.
    """

    max_restarts: Annotated[int, msgspec.Meta(ge=0)] = 5
    within_seconds: PositiveSeconds = 10.0
    backoff: PositiveSeconds = 0.1
    max_backoff: PositiveSeconds = 30.0
    stable_after: PositiveSeconds = 10.0


class RecyclePolicy(_Part, frozen=True):
    """When a bloated app gets a fresh process. Read and validated; this version does not recycle yet.

    `memory`: bytes, or text such as "400MB". `max_age`: seconds.
    """

    memory: Size | None = None
    max_age: PositiveSeconds | None = None


class StartupApp(_Part, frozen=True):
    """OpenFin's `startup_app`: identity, page and window. Sizes are CSS pixels."""

    uuid: AppId
    name: str
    url: str | None = None
    description: str = ""
    default_width: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 800
    default_height: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 600
    default_left: int | None = None
    default_top: int | None = None
    auto_show: bool = True
    resizable: bool = True
    process_affinity: str | None = None
    resource_limits: ResourceLimits = ResourceLimits()


class Look(_Part, frozen=True):
    """An app's one colour (`#rrggbb`) and glyph (an SVG file beside the manifest), the same wherever it is shown."""

    color: Annotated[str, msgspec.Meta(pattern=r"^#[0-9A-Fa-f]{6}$")] | None = None
    glyph: str | None = None


class Manifest(_Part, frozen=True):
    """One app: OpenFin's `startup_app`, and what this platform adds.

    `python` names a function (`module:function`) that runs beside the page in the app's own process; without a `url`
    the app is a service without a window. `requires` names apps that are launched along with this one. `folder` is
    where the file lies (`None` for an app made from a bare URL); relative pages are served from there.
    """

    startup_app: StartupApp = msgspec.field(name="startup_app")
    python: PythonFunction | None = None
    storage: Literal["session", "persistent"] = "session"
    requires: tuple[AppId, ...] = ()
    look: Look = Look()
    restart: RestartPolicy = RestartPolicy()
    recycle: RecyclePolicy = RecyclePolicy()
    interop: dict[str, Any] = {}
    folder: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def app_id(self) -> str:
        """The app's identity, `startup_app.uuid`."""
        return self.startup_app.uuid

    @property
    def title(self) -> str:
        """The app's name for people."""
        return self.startup_app.name

    @property
    def page_url(self) -> str | None:
        """The address that the window opens: a page beside the manifest becomes `app://<app-id>/…`."""
        url = self.startup_app.url
        if url is None or urlsplit(url).scheme in ("http", "https"):
            return url
        return f"app://{self.app_id}/{url.lstrip('/')}"

    @property
    def origin(self) -> str | None:
        """The one origin whose main frame gets the page agent: `scheme://host[:port]`."""
        if self.page_url is None:
            return None
        parts = urlsplit(self.page_url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        port = f":{parts.port}" if parts.port and parts.port != default else ""
        return f"{parts.scheme}://{parts.hostname}{port}"


def _size_hook(kind: type, value: Any) -> Any:
    if kind is Size:
        return Size(parse_size(value))
    raise NotImplementedError(kind)


def _unknown_keys(data: Any, kind: type, where: str) -> Iterable[str]:
    """Paths of keys that no field reads, for the parts whose structure is ours."""
    if not isinstance(data, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in data.items():
        path = f"{where}.{key}"
        if key not in fields or path in ("$.folder", "$.warnings"):
            yield path
            continue
        part = fields[key].type
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            yield from _unknown_keys(value, part, path)


def _complaint(error: Exception, data: Any, file: str) -> ManifestError:
    """msgspec's message, with the place and the value that stands there."""
    text = str(error)
    expected, _, where = text.partition(" - at `")
    where = where.rstrip("`") or "$"
    got: Any = data
    for step in re.findall(r"\.([^.\[]+)|\[(\d+)\]", where):
        try:
            got = got[step[0]] if step[0] else got[int(step[1])]
        except (KeyError, IndexError, TypeError):
            got = None
            break
    shown = json.dumps(got)
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    return ManifestError(
        f"{file}: at {where}: {expected}; found {shown}", file=file, where=where, expected=expected, got=got
    )


def parse_manifest(data: Any, *, file: str = "<manifest>", folder: str | None = None) -> Manifest:
    """A `Manifest` from decoded JSON. Raises `ManifestError`; unknown keys are collected in `warnings`."""
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in ("folder", "warnings")} | {
            "warnings": [f"{file}: unknown key {path}" for path in _unknown_keys(data, Manifest, "$")],
            "folder": folder,
        }
    try:
        manifest = msgspec.convert(data, Manifest, dec_hook=_size_hook)
    except (msgspec.ValidationError, ValueError) as error:
        raise _complaint(error, data, file) from None
    if manifest.startup_app.url is None and manifest.python is None:
        raise ManifestError(
            f"{file}: at $.startup_app.url: expected a page, or a `python` function to run without one; found neither",
            file=file,
            where="$.startup_app.url",
            expected="a page, or a `python` function",
            got=None,
        )
    scheme = urlsplit(manifest.startup_app.url or "").scheme
    if scheme not in ("", "http", "https"):
        raise ManifestError(
            f"{file}: at $.startup_app.url: expected a file beside the manifest or an http(s) address; "
            f"found {manifest.startup_app.url!r}",
            file=file,
            where="$.startup_app.url",
            expected="a file beside the manifest or an http(s) address",
            got=manifest.startup_app.url,
        )
    return manifest


def load_manifest(path: str | Path) -> Manifest:
    """Read one `app.json` (or the `app.json` of a folder). Raises `ManifestError`."""
    file = Path(path)
    if file.is_dir():
        file = file / "app.json"

    def complain(problem: str, expected: str = "a readable JSON file") -> ManifestError:
        return ManifestError(f"{file}: {problem}", file=str(file), where="$", expected=expected, got=None)

    try:
        text = file.read_bytes()
    except FileNotFoundError:
        raise complain("there is no such file; an app is a folder with an app.json in it") from None
    except OSError as error:
        raise complain(f"cannot be read: {error.strerror}") from None
    try:
        data = json.loads(text)
    except UnicodeDecodeError:
        raise complain("is not UTF-8 text", "UTF-8 JSON") from None
    except json.JSONDecodeError as error:
        raise complain(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}", "JSON") from None
    return parse_manifest(data, file=str(file), folder=str(file.parent.resolve()))


def load_manifests(*places: str | Path) -> dict[str, Manifest]:
    """Manifests by app id, from files, app folders, or folders of app folders. Raises `ManifestError`.

    Two different files with one uuid are an error; the same file named twice is not.
    """
    files: dict[Path, None] = {}
    for place in map(Path, places):
        if place.is_dir() and not (place / "app.json").exists():
            found = sorted(place.glob("*/app.json"))
            if not found:
                raise ManifestError(
                    f"{place}: no app in this folder; expected <app-id>/app.json below it",
                    file=str(place),
                    where="$",
                    expected="<app-id>/app.json",
                    got=None,
                )
        else:
            found = [place / "app.json" if place.is_dir() else place]
        files.update(dict.fromkeys(file.resolve() for file in found))
    manifests: dict[str, Manifest] = {}
    origin: dict[str, Path] = {}
    for file in files:
        manifest = load_manifest(file)
        if manifest.app_id in manifests:
            raise ManifestError(
                f"{file}: at $.startup_app.uuid: {manifest.app_id!r} is already the uuid of {origin[manifest.app_id]}; "
                "give one of the two another uuid",
                file=str(file),
                where="$.startup_app.uuid",
                expected="a uuid of its own",
                got=manifest.app_id,
            )
        manifests[manifest.app_id] = manifest
        origin[manifest.app_id] = file
    return manifests


def manifest_for_url(url: str) -> Manifest:
    """A manifest for a bare page on the web: its app id and title come from the address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ManifestError(
            f"{url}: expected an http(s) address", file=url, where="$", expected="an http(s) address", got=url
        )
    words = re.sub(r"[^a-z0-9]+", "-", (parts.hostname + parts.path).lower()).strip("-")[:63].strip("-")
    return parse_manifest(
        {"startup_app": {"uuid": words or "page", "name": parts.hostname, "url": url}}, file=url
    )
