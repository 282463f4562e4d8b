"""Manifests that are written for OpenFin, as ours. Controller (kernel, CLI). Pure.

`startup_app` is one app. A platform's `snapshot` is one app per view: each window's layout, a tree of rows, columns and
stacks, is laid out here as OpenFin would draw it, and each view gets a window of its own where it would have been. What
is not used is pointed out in one remark.
https://developers.openfin.co/of-docs/docs/platform-getting-started
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ..app_ids import place_name
from ..errors import ManifestError
from ..manifest import About, Image, Manifest, OpenFin, parse_manifest
from ..reading import wrong
from .source import Source

MOST_VIEWS = 100
"""Views of one snapshot; each becomes a process."""
TOLD = 15
"""Keys that are named in the remark about those that are not used."""

_OURS = ("storage", "requires", "look", "restart", "recycle", "resourceLimits", "python", "interop")
"""Our own keys, which may stand beside OpenFin's."""
_SIZES = {"defaultWidth": (100, 10_000), "defaultHeight": (100, 10_000)}
_PLACES = {"defaultLeft": (-100_000, 100_000), "defaultTop": (-100_000, 100_000)}
_SAME = ("autoShow", "resizable", "processAffinity")
_READ = {"uuid", "name", "url", "description", "icon", "applicationIcon", "customData", "interop", *_SAME}


def is_openfin(data: Any) -> bool:
    """Whether a manifest is written for OpenFin: it names the runtime, or is a platform's."""
    return isinstance(data, dict) and ("platform" in data or ("startup_app" in data and "runtime" in data))


def read_openfin(data: dict[str, Any], source: Source) -> list[Manifest]:
    """The apps of a manifest. Raises `ManifestError`."""
    return _Platform(data, source).apps() if "platform" in data else [_startup_app(data, source)]


# --- one app ----------------------------------------------------------------------------------------------------------


def _startup_app(data: dict[str, Any], source: Source) -> Manifest:
    app = _object(data.get("startup_app"), "$.startup_app", source)
    shortcut = _object(data.get("shortcut") or {}, "$.shortcut", source)
    unused = [f"{key}" for key in data if key not in {"startup_app", "shortcut", *_OURS}]
    unused += [f"startup_app.{key}" for key in app if key not in _READ | _SIZES.keys() | _PLACES.keys()]
    unused += [f"shortcut.{key}" for key in shortcut if key not in ("name", "description", "icon")]
    url = source.page(app.get("url"), "$.startup_app.url")
    uuid = _text(app, "uuid", "$.startup_app", source) or _text(app, "name", "$.startup_app", source)
    uuid = uuid or urlsplit(url).hostname or "app"
    name = _text(app, "name", "$.startup_app", source) or uuid
    title = _text(shortcut, "name", "$.shortcut", source) if name == uuid else name
    own, remarks = source.admit({key: data[key] for key in _OURS if key in data})
    startup, notes = _window(app, "$.startup_app", source)
    manifest = parse_manifest(
        own
        | {
            "interop": _object(own.get("interop") or app.get("interop") or {}, "$.interop", source),
            "startup_app": startup
            | {
                "uuid": place_name(uuid),
                "name": (title or name)[:200],
                "url": url,
                "description": _text(app, "description", "$.startup_app", source)
                or _text(shortcut, "description", "$.shortcut", source),
            },
        },
        file=source.name,
        folder=source.folder,
    )
    icon = next((one for one in (app.get("icon"), app.get("applicationIcon"), shortcut.get("icon")) if one), None)
    return _dressed(
        manifest,
        source,
        app_id=uuid,
        icon=icon,
        openfin=OpenFin(uuid=uuid, name=name, custom_data=app.get("customData")),
        remarks=[*remarks, *notes, *_unused(unused, source)],
    )


def _window(options: dict[str, Any], where: str, source: Source) -> tuple[dict[str, Any], list[str]]:
    """The keys that mean the same here, as far as they can; and remarks about what cannot."""
    taken = {key: options[key] for key in _SAME if options.get(key) is not None}
    notes = []
    for key, (least, most) in (_SIZES | _PLACES).items():
        value = options.get(key)
        if value is None:
            continue
        # OpenFin takes fractions, and hides what works unseen in windows of one pixel.
        taken[key] = (
            value if isinstance(value, bool) or not isinstance(value, int | float) else _within(value, least, most)
        )
    if taken.get("autoShow") is False:
        notes.append(f"{source.name}: at {where}.autoShow: its window is hidden, and its page cannot show it here")
    admitted, remarks = source.admit({"startup_app": taken})
    return admitted["startup_app"], [*notes, *remarks]


def _within(value: float, least: int, most: int) -> int:
    return round(min(max(value, least), most))


def _dressed(
    manifest: Manifest, source: Source, *, app_id: str, icon: Any, openfin: OpenFin, remarks: list[str]
) -> Manifest:
    icons = source.images((Image(src=icon),)) if isinstance(icon, str) else ()
    about = About(app_id=app_id[:256], directory=source.directory, icons=icons)
    return msgspec.structs.replace(manifest, about=about, openfin=openfin, warnings=(*manifest.warnings, *remarks))


def _unused(keys: list[str], source: Source) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - TOLD} more" if len(keys) > TOLD else ""
    return [f"{source.name}: of what it says to OpenFin this is not used here: {', '.join(keys[:TOLD])}{more}"]


def _object(value: Any, where: str, source: Source) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(source.name, where, "an object", value)
    return value


def _text(data: dict[str, Any], key: str, where: str, source: Source) -> str:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(source.name, f"{where}.{key}", "text", value)
    return value or ""


# --- a platform's views -----------------------------------------------------------------------------------------------


class _Bounds(NamedTuple):
    """Of a window or a view, in pixels; `None` where the manifest leaves it open."""

    left: float | None
    top: float | None
    width: float
    height: float


class _View(NamedTuple):
    where: str
    options: dict[str, Any]
    bounds: _Bounds
    title: str


class _Platform:
    """One platform manifest on its way to apps."""

    def __init__(self, data: dict[str, Any], source: Source) -> None:
        self._source = source
        self._data = data
        self._platform = _object(data["platform"], "$.platform", source)
        self._uuid = _text(self._platform, "uuid", "$.platform", source) or "platform"
        self._unused = [key for key in data if key not in ("platform", "snapshot", "shortcut")]
        self._unused += [f"platform.{key}" for key in self._platform if key not in ("uuid", "icon", "applicationIcon")]
        self._remarks: list[str] = []

    def apps(self) -> list[Manifest]:
        """One for each view with a page that can be shown; what is not used is told with the first."""
        source = self._source
        snapshot = self._data.get("snapshot")
        if snapshot is None:
            expected = "the windows of the platform; one that only its provider's code can open needs OpenFin"
            raise wrong(source.name, "$.snapshot", expected, snapshot)
        windows = _object(snapshot, "$.snapshot", source).get("windows")
        if not isinstance(windows, list):
            raise wrong(source.name, "$.snapshot.windows", "a list of windows", windows)
        self._unused += [f"snapshot.{key}" for key in snapshot if key != "windows"]
        views = [view for number, window in enumerate(windows) for view in self._views(window, number)]
        if len(views) > MOST_VIEWS:
            raise wrong(source.name, "$.snapshot.windows", f"at most {MOST_VIEWS} views", f"{len(views)} views")
        names: set[str] = set()
        apps: list[Manifest] = []
        faults: list[ManifestError] = []
        for view in views:
            try:
                app = self._app(view, names)
            except ManifestError as error:
                faults.append(error)
            else:
                apps += [app] if app else []
        if not apps and faults:
            raise faults[0]
        if not apps:
            raise wrong(source.name, "$.snapshot.windows", "a view with the address of a page", windows)
        # As with a directory's records: one that is of no use here costs the others nothing.
        self._remarks += [f"{error.message}; this view is passed over" for error in faults]
        unused = list(dict.fromkeys(self._unused))
        remarks = (*apps[0].warnings, *self._remarks, *_unused(unused, source))
        return [msgspec.structs.replace(apps[0], warnings=remarks), *apps[1:]]

    def _app(self, view: _View, names: set[str]) -> Manifest | None:
        source, options, where = self._source, view.options, view.where
        if options.get("url") is None:
            self._remarks.append(f"{source.name}: at {where}: a view without a url is passed over")
            return None
        wanted = _text(options, "name", where, source) or f"view-{len(names) + 1}"
        name, number = wanted, 1
        while name in names:
            number += 1
            name = f"{wanted}-{number}"
        names.add(name)
        known = {"url", "name", "processAffinity", "customData", "interop", "title"}
        self._unused += [f"componentState.{key}" for key in options if key not in known]
        bounds = view.bounds
        placed = {"defaultWidth": bounds.width, "defaultHeight": bounds.height}
        placed |= {"defaultLeft": bounds.left, "defaultTop": bounds.top} if bounds.left is not None else {}
        startup, remarks = _window(placed | {"processAffinity": options.get("processAffinity")}, where, source)
        title = view.title or _text(options, "title", where, source) or wanted
        written = {"url": "url", "name": "name", "processAffinity": "processAffinity"}
        manifest = parse_manifest(
            {
                "startup_app": startup
                | {
                    "uuid": place_name(f"{self._uuid}-{name}"),
                    "name": title[:200],
                    "url": source.page(options["url"], f"{where}.url"),
                },
                "interop": _object(options.get("interop") or {}, f"{where}.interop", source),
            },
            file=source.name,
            folder=source.folder,
            written=lambda inside: where + "".join(f".{key}" for key in written if inside.endswith(f".{key}")),
        )
        return _dressed(
            manifest,
            source,
            app_id=f"{self._uuid}/{name}",
            icon=self._platform.get("icon") or self._platform.get("applicationIcon"),
            openfin=OpenFin(uuid=self._uuid, name=name, entity="view", custom_data=options.get("customData")),
            remarks=remarks,
        )

    def _views(self, window: Any, number: int) -> Iterator[_View]:
        where = f"$.snapshot.windows[{number}]"
        options = _object(window, where, self._source)
        bounds = self._bounds(options, where)
        layout = options.get("layout")
        known = {"layout", "url", "name", "x", "y", "width", "height", *_SIZES, *_PLACES}
        self._unused += [f"snapshot.windows.{key}" for key in options if key not in known]
        if layout is None:
            # A window that is a page itself, without views.
            yield _View(where, options, bounds, "")
            return
        content = _object(layout, f"{where}.layout", self._source).get("content")
        self._unused += [f"snapshot.windows.layout.{key}" for key in layout if key != "content"]
        yield from self._inside({"type": "stack", "content": content}, f"{where}.layout", bounds)

    def _bounds(self, options: dict[str, Any], where: str) -> _Bounds:
        """A window's bounds, as it was written by hand (`defaultWidth`) or saved by OpenFin (`width`)."""

        def number(default: str, saved: str) -> float | None:
            for key in (saved, default):
                value = options.get(key)
                if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                    raise wrong(self._source.name, f"{where}.{key}", "a number of pixels", value)
                if value is not None:
                    return value
            return None

        left, top = number("defaultLeft", "x"), number("defaultTop", "y")
        if left is None or top is None:
            left = top = None
        return _Bounds(left, top, number("defaultWidth", "width") or 800, number("defaultHeight", "height") or 600)

    def _inside(self, node: Any, where: str, bounds: _Bounds) -> Iterator[_View]:
        """The views of a part of a layout, from the left, from the top."""
        node = _object(node, where, self._source)
        kind = node.get("type")
        if kind == "component":
            options = _object(node.get("componentState") or {}, f"{where}.componentState", self._source)
            yield _View(f"{where}.componentState", options, bounds, _text(node, "title", where, self._source))
            return
        if kind not in ("row", "column", "stack"):
            raise wrong(self._source.name, f"{where}.type", '"row", "column", "stack" or "component"', kind)
        content = node.get("content")
        if not isinstance(content, list):
            raise wrong(self._source.name, f"{where}.content", "a list", content)
        for number, (child, part) in enumerate(zip(content, _divided(kind, content, bounds), strict=True)):
            yield from self._inside(child, f"{where}.content[{number}]", part)


def _divided(kind: str, content: list[Any], bounds: _Bounds) -> Iterator[_Bounds]:
    """The parts of a row or column, by their shares in percent; the tabs of a stack all have the whole of it."""
    if kind == "stack":
        yield from (bounds for _ in content)
        return
    across = kind == "row"
    shares = [_share(child, "width" if across else "height") for child in content]
    if open_parts := shares.count(0.0):
        # What says nothing divides what is left, or gets an equal part.
        left = 100 - sum(shares)
        shares = [share or (left / open_parts if left > 0 else 100 / len(shares)) for share in shares]
    start = 0.0
    for share in shares:
        part = share / sum(shares)
        if across:
            left = None if bounds.left is None else bounds.left + start * bounds.width
            yield bounds._replace(left=left, width=part * bounds.width)
        else:
            top = None if bounds.top is None else bounds.top + start * bounds.height
            yield bounds._replace(top=top, height=part * bounds.height)
        start += part


def _share(child: Any, key: str) -> float:
    value = child.get(key) if isinstance(child, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0
