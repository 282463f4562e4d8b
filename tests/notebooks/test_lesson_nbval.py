"""Each lesson through nbval, as a reader of the repository would check it; and that this check can fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from lessons import ONE_BY_DEFAULT
from support.processes import Ground

CHECKED = "NBVAL_CHECK_OUTPUT"
LARGEST = 60 << 10  # bytes


def nbval(notebook: Path, folder: Path, timeout: float = 170.0) -> str:
    """Run it as `pytest --nbval-lax` does; returns what pytest printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q", str(notebook)],
        cwd=folder,
        env=os.environ | {"JUPYTER_DATA_DIR": str(folder / "data"), "JUPYTER_RUNTIME_DIR": str(folder / "jupyter")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done.stdout + done.stderr


def counts(said: str) -> dict[str, int]:
    """`{"passed": 3, "failed": 1}` from pytest's last line."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", said.splitlines()[-1])}


FACTS = {r"(?<!channel\.)\b\d+\b": "77", "True": "False", r"\b[A-Z]{2,4}\b": "NONE", r"\b[a-z]+-[a-z]+\b": "no-app"}
"""A number, a truth, a ticker, an app; and what none of them ever is."""


def falsified(text: str) -> str:
    """The same output with one fact changed."""
    fact = next(fact for fact in FACTS if re.search(fact, text))
    return re.sub(fact, FACTS[fact], text, count=1)


@pytest.mark.timeout(200)
def test_lesson_passes_and_leaves_nothing(lesson: Path, tmp_path: Path, nothing_left: Ground) -> None:
    copy = tmp_path / lesson.name
    copy.write_bytes(lesson.read_bytes())
    said = nbval(copy, tmp_path)
    code = sum(cell.cell_type == "code" for cell in nbformat.read(lesson, 4).cells)
    assert counts(said) == {"passed": code}, said


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lesson", ONE_BY_DEFAULT)
def test_wrong_facts_fail(lesson: Path, tmp_path: Path, nothing_left: Ground) -> None:
    notebook = nbformat.read(lesson, 4)
    end = next(index for index, cell in enumerate(notebook.cells) if "platform.stop()" in cell.source)
    notebook.cells = notebook.cells[: end + 1]
    wrong = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and CHECKED in cell.source:
            output = cell.outputs[-1]
            if output.output_type == "stream":
                output.text = falsified(output.text)
            else:
                output.data["text/plain"] = falsified(output.data["text/plain"])
            wrong += 1
    assert wrong >= 3
    copy = tmp_path / lesson.name
    nbformat.write(notebook, copy)
    said = nbval(copy, tmp_path, 100)
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    assert counts(said) == {"failed": wrong, "passed": code - wrong}, said


def test_lesson_file_is_as_it_should_be(lesson: Path) -> None:
    text = lesson.read_text(encoding="utf-8")
    notebook = nbformat.read(lesson, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(text.encode()) < LARGEST
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    # A view without its kernel would show an error where its words can stand.
    assert "widget-state" not in text
    assert "widget-view" not in text
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(output.output_type != "error" for cell in code for output in cell.outputs)
    for cell in code:
        if CHECKED in cell.source:
            assert cell.outputs, "a checked cell without an output checks nothing"
            assert not re.search(r"\d{4,}", str(cell.outputs)), "a PID or a time is no fact of every machine"
