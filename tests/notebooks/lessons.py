"""The lessons, as shipped, and which of them a test takes by default."""

from __future__ import annotations

import pytest

from labplatform.resources import notebooks_folder

LESSONS = sorted(notebooks_folder().glob("*.ipynb"))
ONE_BY_DEFAULT = [
    pytest.param(file, id=file.stem, marks=[pytest.mark.long] if number else []) for number, file in enumerate(LESSONS)
]
"""For tests that take a minute each: the first lesson, and with `-m long` the others."""
