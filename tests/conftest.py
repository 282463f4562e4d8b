"""Fixtures that folders of tests share: platforms that leave a clean ground, a desktop agent, a web server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import processes
from support.apps import APPS, QUICK
from support.fdc3 import World
from support.fdc3_schemas import Schemas, fetch
from support.npm import Unreachable
from support.web import Web


@pytest.fixture(scope="session")
def runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The XDG_RUNTIME_DIR of platforms started here, so that nobody else's platform is taken for a test's."""
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)
    return folder


def _clean_ground(
    runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[processes.Ground]:
    processes.become_subreaper()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    ground = processes.Ground(runtime_folder)
    yield ground
    ground.assert_clean()


@pytest.fixture
def nothing_left(
    runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[processes.Ground]:
    """No process, connection file, session folder, shared memory or named thread outlives the test."""
    yield from _clean_ground(runtime_folder, tmp_path_factory, monkeypatch)


@pytest.fixture(scope="module")
def nothing_left_by_module(
    runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Ground]:
    """The same for all tests of a module together, where these share platforms."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _clean_ground(runtime_folder, tmp_path_factory, monkeypatch)


@pytest.fixture
def platform(nothing_left: processes.Ground) -> Iterator[Callable[..., Any]]:
    """Makes platforms with the tests' apps and a quick heartbeat, offscreen and quiet; stops them after the test."""
    from labplatform import Platform

    made: list[Platform] = []

    def make(*manifests: str | os.PathLike[str], **options: Any) -> Platform:
        options = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK} | options
        made.append(Platform(*(manifests or (APPS,)), **options))
        return made[-1]

    yield make
    for one in reversed(made):
        one.stop()


WAY_TO_THE_WEB = [
    *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO")),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
]


@pytest.fixture
def no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxy nor certificates are named by the environment, whatever machine this is."""
    for name in WAY_TO_THE_WEB:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server for one test."""
    server = Web()
    yield server
    server.close()


@pytest.fixture(scope="session")
def schemas_or_why(pytestconfig: pytest.Config) -> Schemas | str:
    """FDC3's own JSON schemas, or why they cannot be had."""
    try:
        return Schemas(fetch(pytestconfig.cache.mkdir("fdc3")))
    except Unreachable as error:
        return str(error)


@pytest.fixture
def schemas(schemas_or_why: Schemas | str) -> Schemas:
    """FDC3's own JSON schemas; the test is skipped where they cannot be had."""
    if isinstance(schemas_or_why, str):
        pytest.skip(schemas_or_why)
    return schemas_or_why


@pytest.fixture
def world(schemas_or_why: Schemas | str) -> World:
    """A desktop agent without processes; each of its messages is checked where the schemas can be had."""
    return World(None if isinstance(schemas_or_why, str) else schemas_or_why)
