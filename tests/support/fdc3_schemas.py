"""FDC3's own JSON schemas of its messages, fetched from npm into pytest's cache; the project keeps nothing of them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from .npm import Unreachable, made_once, npm

PACKAGES = ("@finos/fdc3-schema@2.2.0", "@finos/fdc3-context@2.2.0")


class Schemas:
    """Checks a DACP message against the schema of its type."""

    def __init__(self, folder: Path) -> None:
        self._validators: dict[str, Draft202012Validator] = {}
        self.requests: set[str] = set()
        self.responses: set[str] = set()
        self.events: set[str] = set()
        resources = []
        named = {}
        for file in sorted(folder.rglob("*.schema.json")):
            schema = _sound(json.loads(file.read_text(encoding="utf-8")))
            # They refer to one another by file name, across folders.
            uri = f"https://fdc3/{file.parent.name}/{file.name}"
            schema["$id"] = uri
            schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
            resources.append((uri, Resource.from_contents(schema)))
            if file.parent.name == "api":
                named[file.name.removesuffix(".schema.json")] = schema
        registry: Registry[Any] = Registry().with_resources(resources)
        for name, schema in named.items():
            validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())
            # The file of one request spells its name differently from the message.
            self._validators[name.replace("Acknowledgment", "Acknowledgement")] = validator
        for file, kinds in (
            ("appRequest", self.requests),
            ("agentResponse", self.responses),
            ("agentEvent", self.events),
        ):
            kinds.update(named[file]["properties"]["type"]["enum"])

    def check(self, message: dict[str, Any]) -> None:
        """Raises `jsonschema.ValidationError`."""
        self._validators[message["type"]].validate(message)


def _sound(schema: Any) -> Any:
    """The schema with `oneOf` read as `anyOf`.

    As written no error response could ever be valid: the alternatives of agentResponse's payload overlap, and so do the
    lists of error names.
    """
    if isinstance(schema, dict):
        return {"anyOf" if key == "oneOf" else key: _sound(value) for key, value in schema.items()}
    return [_sound(value) for value in schema] if isinstance(schema, list) else schema


def fetch(cache: Path) -> Path:
    """The folder with the schemas, from npm on first use. Raises `Unreachable` where that is not possible."""
    return made_once(cache / "_".join(PACKAGES).replace("/", "-").replace("@", ""), _fetch)


def _fetch(workshop: Path) -> Path:
    folder = workshop / "new"
    folder.mkdir()
    npm(folder, "pack", *PACKAGES)
    archives = sorted(folder.glob("*.tgz"))
    if len(archives) != len(PACKAGES):
        raise Unreachable(f"npm fetched {len(archives)} of {len(PACKAGES)} packages with FDC3's schemas")
    for archive in archives:
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
            for member in tar:
                path = Path(member.name)
                if path.parent.name in ("api", "context") and path.name.endswith(".schema.json") and member.isfile():
                    target = folder / path.parent.name / path.name
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())
        archive.unlink()
    return folder
