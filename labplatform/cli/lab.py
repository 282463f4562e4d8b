"""`labplatform lab`: the lessons in a folder of the person's own, and JupyterLab on the first one. CLI process.

JupyterLab then runs in this very process, so that there is no second one which an interrupt, or the end of this one,
could leave behind. Its kernels end with it, and every platform ends with its kernel.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

from .. import doctor, machine
from ..errors import LabError, PlatformError
from ..resources import notebooks_folder
from . import OK, complain

FOLDER = "labplatform-lessons"
RECORD = ".shipped.json"
"""In the lessons' folder: the SHA-256 of each lesson as it was copied, which tells a changed one from an old one."""


def main(options: argparse.Namespace) -> int:
    supported, remedy = machine.supported()
    if not supported:
        raise PlatformError(remedy)
    folder = Path(options.folder).expanduser().absolute() if options.folder else default_folder()
    for line in copy_lessons(notebooks_folder(), folder):
        print(f"labplatform: {line}", file=sys.stderr)
    for check in doctor.report().checks:
        if check.state == "problem":
            complain(f"apps will not start: {check.name}: {check.found}; {check.remedy or 'see labplatform doctor'}")
    return _jupyter(folder, options)


def default_folder() -> Path:
    """Where the lessons go unless told: below the present folder, or a place of the user's own."""
    if os.access(Path.cwd(), os.W_OK | os.X_OK):
        return Path.cwd() / FOLDER
    import platformdirs

    documents = platformdirs.user_documents_path()
    if os.access(documents, os.W_OK | os.X_OK):
        return documents / FOLDER
    return platformdirs.user_data_path("labplatform", appauthor=False) / "lessons"


# --- the lessons ------------------------------------------------------------------------------------------------------


def copy_lessons(shipped: Path, folder: Path) -> list[str]:
    """Bring a folder up to date with the shipped lessons; returns what a person should know, a line each.

    A lesson that the person has not changed is renewed. A changed one is kept, and a newer shipped one is put beside
    it, once. Raises `LabError` if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _copy(shipped, folder)
    except OSError as error:
        raise LabError(
            f"the lessons cannot be copied to {folder}: {error.strerror or error}; name another folder with --folder",
            folder=str(folder),
        ) from None


def _copy(shipped: Path, folder: Path) -> list[str]:
    record = _read_record(folder / RECORD)
    remarks = []
    for source in sorted(shipped.rglob("*")):
        name = source.relative_to(shipped).as_posix()
        if not source.is_file() or any(part.startswith((".", "__")) for part in source.relative_to(shipped).parts):
            continue
        content = source.read_bytes()
        new, former = hashlib.sha256(content).hexdigest(), record.get(name)
        target = folder / name
        present = _hash(target)
        if present in (None, former, new):
            if present != new:
                _write(target, content)
        elif former != new:
            beside = _free_name(target, record, folder)
            _write(beside, content)
            record[beside.relative_to(folder).as_posix()] = new
            remarks.append(f"you have changed {name}, so it is kept; its new version is {beside.name}")
        record[name] = new
    _write(folder / RECORD, json.dumps(record, indent=1, sort_keys=True).encode())
    return remarks


def _free_name(target: Path, record: dict[str, str], folder: Path) -> Path:
    """A name beside a changed lesson that is nobody's, or holds an earlier new version that nobody has touched."""
    number = 1
    while True:
        mark = "new" if number == 1 else f"new {number}"
        beside = target.with_name(f"{target.stem} ({mark}){target.suffix}")
        if _hash(beside) in (None, record.get(beside.relative_to(folder).as_posix())):
            return beside
        number += 1


def _read_record(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _hash(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _write(file: Path, content: bytes) -> None:
    """The whole file or nothing: a full disk must not leave half a lesson."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


# --- JupyterLab -------------------------------------------------------------------------------------------------------


def _jupyter(folder: Path, options: argparse.Namespace) -> int:
    lessons = sorted(file.name for file in folder.glob("*.ipynb"))
    page = f"/lab/tree/{lessons[0]}" if lessons else "/lab"
    arguments = [
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.default_url={page}",
        f"--LabApp.default_url={page}",
        # One Ctrl-C ends it, without a question.
        "--ServerApp.answer_yes=True",
    ]
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    if options.no_browser:
        arguments.append("--no-browser")
    if options.ip:
        arguments.append(f"--ServerApp.ip={options.ip}")
    if options.port is not None:
        # The port that was asked for, or none.
        arguments += [f"--ServerApp.port={options.port}", "--ServerApp.port_retries=0"]
    print(f"labplatform: lessons in {folder}; Ctrl-C ends everything", file=sys.stderr, flush=True)
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise LabError(
            f"JupyterLab cannot be used ({error}); run {sys.executable} -m pip install jupyterlab",
            python=sys.executable,
        ) from None
    sys.argv = ["jupyter-lab", *arguments, *options.rest]
    LabApp.launch_instance(sys.argv[1:])
    return OK
