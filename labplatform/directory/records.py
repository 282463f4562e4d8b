"""Records of an FDC3 app directory (appD v2) as manifests. Controller (kernel, CLI). Pure.

A record says who the app is, where its page is and which intents it handles; `hostManifests.labplatform` says what
`app.json` would say beside that, as an object or as the address of one.
https://fdc3.finos.org/docs/2.2/app-directory/spec
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..app_ids import place_name
from ..manifest import About, Image, Manifest, Words, parse_manifest
from ..reading import convert, wrong
from .source import Source

HOST = "labplatform"
"""Our name among `hostManifests`."""

AppIdText = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,254}[^\s\x00-\x1f\x7f])?\Z",
        description="text of 1 to 256 characters, none of them a control character",
    ),
]
_Types = list[str]


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What is read of a record. Directories write `null` for what they do not have; other fields pass."""


class _Intent(_Part, frozen=True):
    contexts: _Types
    display_name: str | None = None
    result_type: str | None = None


class _Intents(_Part, frozen=True):
    listens_for: dict[str, _Intent] | None = None
    raises: dict[str, _Types] | None = None


class _Use(_Part, frozen=True):
    broadcasts: _Types | None = None
    listens_for: _Types | None = None


class _AppChannel(_Use, frozen=True):
    id: str | None = None
    description: str | None = None


class _Interop(_Part, frozen=True):
    intents: _Intents | None = None
    user_channels: _Use | None = None
    app_channels: list[_AppChannel] | None = None


class Application(_Part, frozen=True):
    """One record, as far as it matters here."""

    app_id: AppIdText
    type: Literal["web", "native", "citrix", "onlineNative", "other"]
    details: dict[str, Any]
    title: Words | None = None
    name: str | None = None
    version: str | None = None
    tooltip: str | None = None
    lang: str | None = None
    description: str | None = None
    publisher: str | None = None
    categories: tuple[str, ...] | None = None
    icons: tuple[Image, ...] | None = None
    screenshots: tuple[Image, ...] | None = None
    interop: _Interop | None = None
    host_manifests: dict[str, Any] | None = None

    @property
    def shown(self) -> str:
        """What people call it. The standard wants a title, but its own conformance tests have an app without one."""
        return self.title or (self.name or self.app_id)[:200]

    @property
    def host_manifest(self) -> Any:
        """What it says for us: an object, an address, or nothing."""
        return (self.host_manifests or {}).get(HOST)


def read_application(data: Any, source: Source, where: str = "$") -> Application:
    """A record that stands at a path of its source. Raises `ManifestError`."""
    if isinstance(data, dict) and "manifestType" in data and "type" not in data:
        raise wrong(source.name, where, "a record of appD v2, which a directory has at /v2/apps", "a record of appD v1")
    return convert(data, Application, source.name, written=lambda path: where + path[1:])


class Settings(msgspec.Struct, frozen=True):
    """What a record says for us, and where that stands; `path` is inside `source`."""

    data: Any
    source: Source
    path: str


def manifest_of(app: Application, source: Source, where: str = "$", settings: Settings | None = None) -> Manifest:
    """A record as a manifest. `settings`: what was fetched from the address it names. Raises `ManifestError`."""
    if settings is None:
        said = {} if app.host_manifest is None else app.host_manifest
        settings = Settings(said, source, f"{where}.hostManifests.{HOST}")
    own, path = settings.data, settings.path
    if not isinstance(own, dict):
        raise wrong(settings.source.name, path, "an object, or the http(s) address of one", own)
    own, remarks = settings.source.admit(own, path)
    startup, interop = dict(_object(own, "startup_app", settings)), dict(_object(own, "interop", settings))
    url = _page(app, source, where, startup, settings)
    said_twice = [f"startup_app.{key}" for key in ("uuid", "name", "description") if startup.pop(key, None) is not None]
    channel = {key: interop.pop(key) for key in ("currentContextGroup",) if key in interop}
    said_twice += [f"interop.{key}" for key in interop]
    remarks += [f"{settings.source.name}: {path}.{key} is passed over: the record says it" for key in said_twice]
    if app.title is None:
        remarks.append(f"{source.name}: {where} has no title; the app is called {app.shown!r}")
    startup |= {"uuid": place_name(app.app_id), "name": app.shown, "description": app.description or ""}
    whole = own | {
        "startup_app": startup | ({} if url is None else {"url": url}),
        "interop": (msgspec.to_builtins(app.interop) if app.interop else {}) | channel,
    }
    manifest = parse_manifest(
        whole,
        file=settings.source.name,
        folder=source.folder,
        written=lambda inside: path + inside[1:],
    )
    about = About(
        app_id=app.app_id,
        directory=source.directory,
        name=app.name,
        version=app.version,
        tooltip=app.tooltip,
        lang=app.lang,
        publisher=app.publisher,
        categories=app.categories or (),
        icons=source.images(app.icons),
        screenshots=source.images(app.screenshots),
    )
    return msgspec.structs.replace(manifest, about=about, warnings=(*remarks, *manifest.warnings))


def _object(data: dict[str, Any], key: str, settings: Settings) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise wrong(settings.source.name, f"{settings.path}.{key}", "an object", value)
    return value


def _page(app: Application, source: Source, where: str, startup: dict[str, Any], settings: Settings) -> str | None:
    """The page to open: what is said for us counts before what is said for everybody."""
    if (url := startup.pop("url", None)) is not None:
        return settings.source.page(url, f"{settings.path}.startup_app.url")
    if app.type == "web":
        return source.page(app.details.get("url"), f"{where}.details.url")
    if settings.data.get("python") is not None and not settings.source.url:
        return None
    expected = f'"web"; an app of another type needs a page in hostManifests.{HOST}.startup_app.url'
    raise wrong(source.name, f"{where}.type", expected, app.type)
