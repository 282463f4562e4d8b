"""Fixtures of the set-up tests: the checkout, and a copy of what `binder/setup` reads, to be broken at will."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project() -> Path:
    """The checkout."""
    return PROJECT


@pytest.fixture
def bare_copy(tmp_path: Path) -> Path:
    """A checkout's worth of files for `binder/setup`, without `.venv`."""
    copy = tmp_path / "a checkout"  # with a space: people have such folders
    copy.mkdir()
    shutil.copytree(PROJECT / "binder", copy / "binder")
    shutil.copytree(
        PROJECT / "labplatform",
        copy / "labplatform",
        ignore=shutil.ignore_patterns("__pycache__", "node_modules", "dist"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(PROJECT / name, copy / name)
    return copy
