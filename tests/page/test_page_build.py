"""Building the page agent: what is built is left alone, and an unreachable registry ends in a remedy."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labplatform import resources

PAGE = resources.PACKAGE / "page"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the agent's folder, sources only, where each file is as old as in the checkout."""
    return shutil.copytree(
        PAGE, tmp_path / "page", ignore=shutil.ignore_patterns("dist", "node_modules", "__pycache__")
    )


def build(page: Path, npm_cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the build with a registry at which nobody listens, and without what npm has kept from earlier."""
    npm = {"registry": "http://127.0.0.1:9/", "cache": str(npm_cache), "fetch_retries": "0"}
    environment = os.environ | {f"npm_config_{name}": value for name, value in npm.items()}
    command = [sys.executable, str(page / "build_hook.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_without_a_registry_the_error_names_the_remedy(copy, tmp_path):
    done = build(copy, tmp_path / "cache")
    assert done.returncode == 1
    unreachable = "could not reach its package registry (ECONNREFUSED)"
    for words in ("could not be built", unreachable, "npm config set registry"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (copy / "dist").exists() and not (copy / "node_modules").exists()


def test_an_agent_newer_than_its_sources_is_left_alone(copy, tmp_path):
    spec = importlib.util.spec_from_file_location("copied_build_hook", copy / "build_hook.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    assert not hook.is_fresh()
    agent = copy / "dist" / "agent.js"
    agent.parent.mkdir()
    agent.write_text("built before")
    assert hook.is_fresh()
    assert build(copy, tmp_path / "cache").returncode == 0
    assert agent.read_text() == "built before"
    later = agent.stat().st_mtime + 10
    for touched in (copy / "src" / "agent.ts", copy / "package-lock.json", copy / "src"):
        before = touched.stat().st_mtime
        os.utime(touched, (later, later))
        assert not hook.is_fresh(), touched
        os.utime(touched, (before, before))


def test_the_lock_file_names_hashes_and_no_addresses():
    lock = json.loads((PAGE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    manifest = json.loads((PAGE / "package.json").read_text())
    wanted = manifest["dependencies"] | manifest["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def test_the_agent_is_slim_and_says_whose_code_is_in_it(agent_js):
    """The generated validators alone would be four times as much."""
    dependencies = json.loads((PAGE / "package.json").read_text())["dependencies"]
    first = agent_js.splitlines()[0]
    assert all(f"{name} {version}" in first for name, version in dependencies.items()) and "Apache-2.0" in first
    assert len(agent_js) < 52_000
