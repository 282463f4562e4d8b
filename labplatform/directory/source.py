"""Where a manifest was read, and what one from elsewhere may not say. Controller (kernel, CLI). Pure.

What lies on this machine is trusted like any program of the user's. What was fetched is not: it may name pages on the
web, sizes and policies, and nothing of this machine: no Python function to run, no file or folder, no renderer to share
with apps of the user's own. What it may say is listed, so that a key which is added to manifests later is refused until
somebody has thought about it.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from ..manifest import Image, Manifest, check_page
from ..reading import Unexpected, wrong

_TAKEN = {
    "": {
        *("startup_app", "storage", "pageTransport", "requires", "look", "restart", "recycle", "resourceLimits"),
        "interop",
    },
    "startup_app": {
        *("uuid", "name", "url", "description", "defaultWidth", "defaultHeight", "defaultLeft", "defaultTop"),
        *("autoShow", "resizable", "processAffinity", "resourceLimits"),
    },
    "look": {"color"},
}
"""What is taken from elsewhere of a manifest and of its parts; the parts that are not named here hold plain values."""

_WEB_PAGE = "an http(s) address; what comes from elsewhere cannot name files of this machine"


class Source(NamedTuple):
    """Where something was read. `name`: for people. `url`: where it was fetched from; empty for a file of this machine,
    which lies in `folder`.
    """

    name: str
    url: str = ""
    folder: str | None = None

    @property
    def directory(self) -> str:
        """The host, with a port that is not its scheme's own; empty for this machine's own files."""
        if not self.url:
            return ""
        parts = urlsplit(self.url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return host if parts.port in (None, default) else f"{host}:{parts.port}"

    def page(self, url: Any, where: str) -> str:
        """The address of a page that stands at a path. Raises `ManifestError`."""
        if not isinstance(url, str):
            raise wrong(self.name, where, "an http(s) address", url)
        try:
            # On an http(s) base nothing stays relative, and of whole addresses only http(s) ones pass.
            address = urljoin(self.url, url) if self.url else url
            check_page(address)
        except Unexpected as error:
            raise wrong(self.name, where, _WEB_PAGE if self.url else error.expected, url) from None
        except ValueError:
            raise wrong(self.name, where, "an http(s) address", url) from None
        return address

    def images(self, images: tuple[Image, ...] | None) -> tuple[Image, ...]:
        """Icons and pictures, their addresses whole. Those that no page could show are left out."""
        whole = [msgspec.structs.replace(image, src=urljoin(self.url, image.src)) for image in images or ()]
        return tuple(image for image in whole if image.src.startswith(("http://", "https://", "data:image/")))

    def admit(self, settings: dict[str, Any], where: str = "$") -> tuple[dict[str, Any], list[str]]:
        """A manifest's keys as far as they may come from here, and a remark for each that may not."""
        if not self.url:
            return settings, []
        remarks: list[str] = []
        admitted = self._taken(settings, "", where, remarks)
        for part in ("startup_app", "look"):
            if isinstance(admitted.get(part), dict):
                admitted[part] = self._taken(admitted[part], part, f"{where}.{part}", remarks)
        app = admitted.get("startup_app")
        if isinstance(app, dict) and isinstance(app.get("processAffinity"), str):
            # Only with its like: apps of one affinity share a process, its memory and its storage.
            admitted["startup_app"] = app | {
                "processAffinity": f"{app['processAffinity'][:100]}@{self.directory}"[:200]
            }
        return admitted, remarks

    def _taken(self, data: dict[str, Any], part: str, where: str, remarks: list[str]) -> dict[str, Any]:
        taken = {}
        for key, value in data.items():
            if key in _TAKEN[part] or key not in _OURS[part]:
                # An unknown key has no effect, and is pointed out like any.
                taken[key] = value
            else:
                remarks.append(f"{self.name}: {where}.{key} is not taken from elsewhere")
        return taken


def _names(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _part(name: str) -> type[msgspec.Struct]:
    return next(field.type for field in msgspec.structs.fields(Manifest) if field.encode_name == name)


_OURS = {"": _names(Manifest)} | {part: _names(_part(part)) for part in ("startup_app", "look")}
