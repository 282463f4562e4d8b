"""What a place holds: files, folders, addresses, ids with a host. Controller (kernel, CLI).

A place that was named by a person is an error where it cannot be read; one bad record among many is a remark, and costs
the others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from .. import app_ids
from ..errors import ManifestError
from ..manifest import About, Manifest, manifest_beside, parse_manifest
from ..network import is_this_machine
from ..reading import check_json, decode, read_file, reason, unreadable, wrong
from .fetch import Answer, Bounds, fetch, is_here
from .openfin import is_openfin, read_openfin
from .records import Application, Settings, manifest_of, read_application
from .source import Source

MOST_APPS = 2000
"""Apps taken from one directory."""
MOST_SETTINGS = 100
"""Addresses of `hostManifests.labplatform` that are fetched for one directory."""
MOST_REMARKS = 50
"""Records of one directory whose fault is told."""
DIRECTORY_FILE = 8 << 20
"""Bytes of a file with many records."""

KINDS = (
    'an app.json or OpenFin manifest (with "startup_app" or "platform"), an app directory\'s record (with "appId"), '
    'a list of records, or {"applications": [...]}'
)
LIKELY_PAGE = (401, 403, 405, 406, 429)
"""Answers by which a server refuses a plain request, and would perhaps not refuse a browser."""

Place = str | Path | Mapping[str, Any] | Manifest


class Found(NamedTuple):
    """Apps by their ids, in the order of the places; what is to be said of what was passed over; each place's ids."""

    manifests: dict[str, Manifest]
    remarks: tuple[str, ...]
    of_place: tuple[tuple[str, ...], ...]


def load(*places: Place, beside: Mapping[str, Manifest] | None = None, bounds: Bounds | None = None) -> Found:
    """The apps that these places hold. Raises `ManifestError`.

    A place is a folder (of apps, or of records), a file, the http(s) address of a page, a manifest or a directory, an
    id with its directory's host (`app@host`), decoded JSON, or a `Manifest`. `beside`: apps whose ids and names are
    taken.
    """
    gathered = _Gathered(beside or {})
    web = [place for place in places if is_address(place)]
    answers = dict(zip(web, fetch(web, bounds), strict=True)) if web else {}
    files: dict[Path, list[str]] = {}
    of_place: list[tuple[str, ...]] = []
    for place in places:
        gathered.ids = []
        if isinstance(place, Manifest):
            gathered.add(place, place.app_id)
        elif isinstance(place, Mapping):
            gathered.read(dict(place), Source("<manifest>"), bounds)
        elif is_address(place):
            _from_web(str(place), answers[place], gathered, bounds)
        elif isinstance(place, str) and is_qualified(place) and not Path(place).exists():
            _from_host(place, gathered, bounds)
        else:
            _from_path(Path(place), files, gathered, bounds)
        of_place.append(tuple(dict.fromkeys(gathered.ids)))
    return Found(gathered.manifests, tuple(gathered.remarks), tuple(of_place))


def load_manifests(*places: Place) -> dict[str, Manifest]:
    """The apps that these places hold, by their ids: what `Platform(*places)` would know. Raises `ManifestError`."""
    return load(*places).manifests


def is_address(place: Any) -> bool:
    """Whether this is to be fetched."""
    return isinstance(place, str) and place.lower().startswith(("http://", "https://"))


def is_qualified(place: str) -> bool:
    """Whether this is an app's id with its directory's host, and no path."""
    plain, host = app_ids.split(place)
    return bool(re.fullmatch(r"[a-z0-9_.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?", host)) and not re.search(r"[/\\]", plain)


def manifest_for_url(url: str) -> Manifest:
    """A manifest for a bare page on the web: its name and title come from the address. Raises `ManifestError`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise unreadable(url, "expected an http(s) address", "an http(s) address")
    name = app_ids.place_name(parts.hostname + parts.path)
    return parse_manifest({"startup_app": {"uuid": name, "name": parts.hostname[:200], "url": url}}, file=url)


# --- one place --------------------------------------------------------------------------------------------------------


def _from_path(place: Path, files: dict[Path, list[str]], gathered: _Gathered, bounds: Bounds | None) -> None:
    try:
        found, loose = _files_of(place)
    except (OSError, ValueError, RuntimeError) as error:
        # A name that is not Unicode or holds a NUL, a folder that may not be entered, links in a circle.
        problem = f"cannot be read: {reason(error)}"
        raise unreadable(ascii(str(place)), problem, "a readable folder or file") from None
    faults: list[ManifestError] = []
    for file in (*found, *loose):
        if file in files:
            gathered.ids += files[file]
            continue
        before = len(gathered.ids)
        if file in found:
            gathered.read(decode(read_file(file, DIRECTORY_FILE), file), _file_source(file), bounds)
        elif fault := gathered.take_record_file(file, bounds):
            faults.append(fault)
        files[file] = gathered.ids[before:]
    if not found and not loose:
        problem = "no app in this folder; expected <app-id>/app.json below it, or an app directory's records in *.json"
        raise unreadable(place, problem, "<app-id>/app.json")
    if not found and len(faults) == len(loose):
        raise faults[0]


def _files_of(place: Path) -> tuple[list[Path], list[Path]]:
    """The files that a place must have meant, and those of a folder that may hold records."""
    if not place.is_dir():
        return [place.resolve()], []
    if (place / "app.json").exists():
        return [(place / "app.json").resolve()], []
    # `iterdir` and not `glob`, which passes over a folder that it may not read.
    inside = sorted(place.iterdir())
    apps = [one / "app.json" for one in inside if (one / "app.json").exists()]
    loose = [one for one in inside if one.suffix == ".json" and one.is_file()]
    return [one.resolve() for one in apps], [one.resolve() for one in loose]


def _file_source(file: Path) -> Source:
    return Source(str(file), folder=str(file.parent))


def _from_web(url: str, answer: Answer, gathered: _Gathered, bounds: Bounds | None) -> None:
    """An address: a page, a manifest, or a directory, also where only its base was named."""
    if answer.problem:
        raise unreadable(url, answer.problem, "an address that answers")
    tried = answer.refusal
    if answer.status in LIKELY_PAGE:
        gathered.remarks.append(f"{url}: a plain request {tried}; it is taken for a page")
    if answer.status in LIKELY_PAGE or (200 <= answer.status < 300 and (answer.page or not answer.body.strip())):
        gathered.add(manifest_for_url(url), url)
        return
    if not tried:
        data = decode(answer.body, url)
        if kind_of(data):
            gathered.read(data, Source(url, answer.url), bounds)
            return
        tried = f"is JSON, but not {KINDS}"
    base = url.partition("?")[0].partition("#")[0].rstrip("/")
    apps = f"{base}/apps" if base.endswith("/v2") else f"{base}/v2/apps"
    if not re.search(r"/apps(/|$)|\.\w+$", urlsplit(base).path):
        (second,) = fetch([apps], bounds)
        if not second.refusal and kind_of(data := decode(second.body, apps)):
            gathered.read(data, Source(apps, second.url), bounds)
            return
        tried += f"; {apps}, where an app directory would be, {second.refusal or 'is none'}"
    raise unreadable(url, tried, KINDS)


def _from_host(app_id: str, gathered: _Gathered, bounds: Bounds | None) -> None:
    """One app by its fully qualified id: the standard says at which address its directory has it."""
    _, host = app_ids.split(app_id)
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    scheme = "http" if is_this_machine(name) else "https"
    url = f"{scheme}://{host}/api/appd/v2/apps/{quote(app_id, safe='@:')}"
    (answer,) = fetch([url], bounds)
    if answer.refusal:
        raise unreadable(app_id, f"is not known here, and {url} {answer.refusal}", "an app directory's record")
    gathered.read(decode(answer.body, url), Source(url, answer.url), bounds)


# --- what was read ----------------------------------------------------------------------------------------------------


def kind_of(data: Any) -> str:
    """What decoded JSON is: "record", "records", "openfin", "manifest"; empty for none of them."""
    if isinstance(data, list):
        return "records" if data and all(isinstance(one, dict) and "appId" in one for one in data) else ""
    if not isinstance(data, dict):
        return ""
    if "applications" in data:
        return "records"
    if is_openfin(data):
        return "openfin"
    if "startup_app" in data:
        return "manifest"
    return "record" if "appId" in data else ""


class _Gathered:
    """Apps as they come in, each with an id and a name of its own."""

    def __init__(self, beside: Mapping[str, Manifest]) -> None:
        self.manifests: dict[str, Manifest] = {}
        self.remarks: list[str] = []
        self.ids: list[str] = []
        """Of the place at hand."""
        self._beside = beside
        self._names = {manifest.uuid: app_id for app_id, manifest in beside.items()}
        self._from: dict[str, str] = {}

    def read(self, data: Any, source: Source, bounds: Bounds | None) -> None:
        """Take what one source says. Raises `ManifestError`."""
        check_json(data, source.name)
        match kind_of(data):
            case "records":
                listed, where = (data, "$") if isinstance(data, list) else (data["applications"], "$.applications")
                self._records(listed, where, source, bounds)
            case "record":
                app = read_application(data, source)
                settings = self._settings([("$", app)], source, bounds).get("$")
                if isinstance(settings, ManifestError):
                    raise settings
                self.add(manifest_of(app, source, settings=settings), source.name)
            case "openfin":
                for manifest in read_openfin(data, source):
                    self.add(manifest, source.name)
            case "manifest" if source.url:
                self.add(self._own_from_elsewhere(data, source), source.name)
            case _ if source.folder is not None:
                file = Path(source.name)
                self.add(manifest_beside(data, file, file.parent), source.name)
            case _:
                self.add(parse_manifest(data, file=source.name), source.name)

    def take_record_file(self, file: Path, bounds: Bounds | None) -> ManifestError | None:
        """Take the records of a file that lies among others; what is wrong with it is told, and returned."""
        try:
            data = decode(read_file(file, DIRECTORY_FILE), file)
            if kind_of(data) not in ("record", "records"):
                return unreadable(file, "holds no record of an app directory", KINDS)
            self.read(data, _file_source(file), bounds)
        except ManifestError as error:
            self.remarks.append(f"{error.message}; it is passed over")
            return error
        return None

    def add(self, manifest: Manifest, name: str, where: str = "$") -> None:
        """Take one app, which stands at a path of its source. Raises `ManifestError` for an id that is taken.

        One with the id of another is called by its directory's host as well, if it has one.
        """
        known, directory = self._known(manifest.app_id), manifest.directory
        if manifest.app_id == app_ids.NOTEBOOK and not directory:
            raise self._taken(manifest, name, where)
        if directory and (manifest.app_id == app_ids.NOTEBOOK or (known and known.directory != directory)):
            whole = f"{app_ids.split(manifest.app_id)[0]}@{directory}"
            self.remarks.append(f"{name}: there is another {manifest.app_id!r}; this one is called {whole!r}")
            manifest = msgspec.structs.replace(manifest, about=msgspec.structs.replace(manifest.about, app_id=whole))
            known = self._known(whole)
        if known is None:
            self._keep(manifest, name)
        elif known == manifest and manifest.app_id in self.manifests:
            self.ids.append(manifest.app_id)
        elif manifest.about is None and manifest.folder is None and known.page_url != manifest.page_url:
            # Another page of the same address, but for what comes behind its path.
            self._keep(self._renamed(manifest, self._known), name)
        elif manifest.app_id not in self.manifests:
            # It is launched anew, perhaps with changes; what the platform knew stays what it is.
            self._keep(manifest, name)
        else:
            raise self._taken(manifest, name, where)

    def _known(self, app_id: str) -> Manifest | None:
        return self.manifests.get(app_id) or self._beside.get(app_id)

    def _keep(self, manifest: Manifest, name: str) -> None:
        if self._names.get(manifest.uuid, manifest.app_id) != manifest.app_id:
            manifest = self._renamed(manifest, self._names.get)
        self._names[manifest.uuid] = manifest.app_id
        self.manifests[manifest.app_id] = manifest
        self.ids.append(manifest.app_id)
        self._from[manifest.app_id] = name

    @staticmethod
    def _renamed(manifest: Manifest, taken: Callable[[str], Any]) -> Manifest:
        """The same app by a name that nobody else has."""
        uuid, number = manifest.uuid, 1
        while taken(uuid):
            number += 1
            uuid = f"{manifest.uuid[: app_ids.MOST_PLACE - 1 - len(str(number))].rstrip('-')}-{number}"
        return msgspec.structs.replace(manifest, startup_app=msgspec.structs.replace(manifest.startup_app, uuid=uuid))

    def _taken(self, manifest: Manifest, name: str, where: str) -> ManifestError:
        word = "appId" if manifest.about else "uuid"
        path = f"{where}.{word if manifest.about else 'startup_app.uuid'}"
        other = self._from.get(manifest.app_id, "notebooks")
        return ManifestError(
            f"{name}: at {path}: {manifest.app_id!r} is already the {word} of {other}; "
            f"give one of the two another {word}",
            file=name,
            where=path,
            expected=f"{'an' if manifest.about else 'a'} {word} of its own",
            got=manifest.app_id,
        )

    def _own_from_elsewhere(self, data: dict[str, Any], source: Source) -> Manifest:
        """Our own kind of manifest, fetched."""
        admitted, remarks = source.admit(data)
        app = admitted.get("startup_app")
        if isinstance(app, dict):
            admitted = admitted | {"startup_app": app | {"url": source.page(app.get("url"), "$.startup_app.url")}}
        manifest = parse_manifest(admitted, file=source.name)
        about = About(app_id=manifest.uuid, directory=source.directory)
        return msgspec.structs.replace(manifest, about=about, warnings=(*remarks, *manifest.warnings))

    # --- many records

    def _records(self, listed: Any, where: str, source: Source, bounds: Bounds | None) -> None:
        """Each record that can be read; those that cannot are told."""
        if not isinstance(listed, list):
            raise wrong(source.name, where, "a list of records", listed)
        apps: list[tuple[str, Application]] = []
        faults: list[ManifestError] = []
        for number, data in enumerate(islice(listed, MOST_APPS)):
            try:
                apps.append((f"{where}[{number}]", read_application(data, source, f"{where}[{number}]")))
            except ManifestError as error:
                faults.append(error)
        settings = self._settings(apps, source, bounds)
        for path, app in apps:
            try:
                fetched = settings.get(path)
                if isinstance(fetched, ManifestError):
                    raise fetched
                self.add(manifest_of(app, source, path, fetched), source.name, path)
            except ManifestError as error:
                faults.append(error)
        if faults and len(faults) == len(listed):
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise ManifestError(f"{faults[0].message}; no record of it can be used{more}", **faults[0].detail)
        if len(listed) > MOST_APPS:
            self.remarks.append(f"{source.name}: has {len(listed)} records; the first {MOST_APPS} are taken")
        self.remarks += [f"{error.message}; this record is passed over" for error in faults[:MOST_REMARKS]]
        if len(faults) > MOST_REMARKS:
            self.remarks.append(f"{source.name}: {len(faults) - MOST_REMARKS} more records are passed over")

    def _settings(
        self, apps: Iterable[tuple[str, Application]], source: Source, bounds: Bounds | None
    ) -> dict[str, Settings | ManifestError]:
        """What records name by address as `hostManifests.labplatform`, fetched, by the records' paths."""
        named: dict[str, str] = {}
        found: dict[str, Settings | ManifestError] = {}
        for path, app in apps:
            if isinstance(app.host_manifest, str):
                try:
                    named[path] = source.page(app.host_manifest, f"{path}.hostManifests.labplatform")
                    if not is_address(named[path]):
                        expected = "an object, or the http(s) address of one"
                        raise wrong(source.name, f"{path}.hostManifests.labplatform", expected, app.host_manifest)
                    if source.url and is_here(named[path]) and not is_here(source.url):
                        expected = "an address elsewhere: a directory may not have this machine's own servers asked"
                        raise wrong(source.name, f"{path}.hostManifests.labplatform", expected, app.host_manifest)
                except ManifestError as error:
                    found[path] = error
        wanted = list(dict.fromkeys(url for path, url in named.items() if path not in found))
        answers = dict(zip(wanted, fetch(wanted[:MOST_SETTINGS], bounds), strict=False)) if wanted else {}
        for path, url in named.items():
            if path not in found:
                found[path] = _settings_from(url, answers.get(url))
        return found


def _settings_from(url: str, answer: Answer | None) -> Settings | ManifestError:
    expected = "an object as JSON"
    if answer is None:
        return unreadable(
            url, f"is not fetched: more than {MOST_SETTINGS} addresses are named by one directory", expected
        )
    if answer.refusal:
        return unreadable(url, answer.refusal, expected)
    try:
        data = decode(answer.body, url)
        check_json(data, url)
    except ManifestError as error:
        return error
    return Settings(data, Source(url, answer.url), "$")
