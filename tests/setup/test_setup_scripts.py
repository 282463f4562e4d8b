"""The scripts of set-up and of continuous integration, run for real: refusals, Ctrl-C, a lost network, left-overs."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

SCRIPTS = ("binder/setup", "binder/lab", "binder/test", "binder/postBuild", ".ci/run", "tests/setup/bare_debian.sh")
UNLIKELY_PACKAGE = "hello-traditional"
"""A package of Debian and Ubuntu that nobody has installed."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="set-up is for Linux")


def run(*command, timeout=60, **options) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **options)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_sound_bash_and_may_be_run(project, script):
    path = project / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    checked = run("bash", "-n", path)
    assert checked.returncode == 0, checked.stderr


def test_help_and_unknown_arguments(project):
    helped = run(project / "binder" / "setup", "--help")
    assert helped.returncode == 0 and "--skip-system" in helped.stdout
    refused = run(project / "binder" / "setup", "labb")
    assert refused.returncode == 2 and "unknown argument labb" in refused.stderr


@pytest.mark.skipif(not shutil.which("apt-get"), reason="neither Debian nor Ubuntu")
def test_without_root_the_line_for_root_is_named(bare_copy):
    with (bare_copy / "binder" / "apt.txt").open("a") as lists:
        lists.write(f"{UNLIKELY_PACKAGE}\n")
    command: list[str | Path] = [bare_copy / "binder" / "setup"]
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (bare_copy, *bare_copy.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        for path in bare_copy.parents:  # pytest's own folders are for their owner only
            if path.stat().st_uid == 0 and path != Path("/") and "pytest" in str(path):
                path.chmod(path.stat().st_mode | 0o011)
        command = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *command]
    elif shutil.which("sudo") and run("sudo", "-n", "true").returncode == 0:
        pytest.skip("sudo needs no password here, so set-up would use it")
    refused = run(*command)
    assert refused.returncode == 1
    line = re.search(r"^set-up:   (apt-get update && apt-get install .*)$", refused.stderr, re.MULTILINE)
    assert line, refused.stderr
    assert UNLIKELY_PACKAGE in line[1].split()
    assert not (bare_copy / ".venv").exists()


def test_an_index_out_of_reach_ends_in_a_clear_error(bare_copy):
    environment = os.environ | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PYTHON": sys.executable,
    }
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        environment.pop(name, None)
    failed = run(bare_copy / "binder" / "setup", "--skip-system", env=environment)
    assert failed.returncode == 1
    assert "is the Python package index within reach?" in failed.stderr
    assert "127.0.0.1" in failed.stderr, "the log's end is shown"
    again = run(bare_copy / "binder" / "setup", "--skip-system", env=environment)
    assert "making .venv" in again.stdout, "an unfinished environment is made anew"


def test_ctrl_c_leaves_no_process_and_says_how_to_go_on(bare_copy):
    setup = subprocess.Popen(
        [bare_copy / "binder" / "setup", "--skip-system"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
        start_new_session=True,
    )
    try:
        assert "leaving system packages alone" in setup.stdout.readline()
        assert "making .venv" in setup.stdout.readline()
        deadline = time.monotonic() + 10
        # The step's own process and the one that watches it.
        while len(children := psutil.Process(setup.pid).children(recursive=True)) < 2:
            assert time.monotonic() < deadline and setup.poll() is None
        os.killpg(setup.pid, signal.SIGINT)
        _, said = setup.communicate(timeout=20)
    finally:
        if setup.poll() is None:
            os.killpg(setup.pid, signal.SIGKILL)
            setup.wait()
    assert setup.returncode == 130
    assert "interrupted while making .venv" in said and "run it again" in said
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_binder_opens_on_the_first_lesson(project, tmp_path):
    (tmp_path / "config").mkdir()
    shutil.copy(project / "binder" / "jupyter_lab_config.json", tmp_path / "config")
    lesson = tmp_path / "notebooks" / "01_isolation.ipynb"
    lesson.parent.mkdir()
    lesson.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"],
        cwd=tmp_path,
        env=os.environ | places | {"JUPYTER_TOKEN": "letmein"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in server.stderr:
            if address := re.search(r"http://127\.0\.0\.1:\d+(/\S*)", line):
                break
        assert address, "JupyterLab ended without printing an address"
        assert address[1].startswith("/lab/tree/notebooks/01_isolation.ipynb")
        said = threading.Thread(target=server.stderr.read)
        said.start()
        deadline = time.monotonic() + 30
        while True:  # the address is printed a moment before it is served
            try:
                with urllib.request.urlopen(address[0], timeout=10) as answer:
                    assert answer.status == 200
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.05)
    finally:
        server.terminate()
        try:
            server.wait(20)
        finally:
            server.kill()
            server.wait()
    said.join()
    server.stderr.close()


def ci_that_tests(folder: Path, project: Path, body: str) -> Path:
    """A project whose tests are the given lines of bash, with the real `.ci/run`."""
    (folder / ".ci").mkdir()
    (folder / "binder").mkdir()
    shutil.copy2(project / ".ci" / "run", folder / ".ci" / "run")
    tests = folder / "binder" / "test"
    tests.write_text(f"#!/usr/bin/env bash\n{body}\n")
    tests.chmod(0o755)
    return folder / ".ci" / "run"


def test_ci_passes_status_and_closing_line_on(project, tmp_path):
    (tmp_path / "test_two.py").write_text("def test_good():\n    pass\n\ndef test_bad():\n    assert 0\n")
    ended = run(ci_that_tests(tmp_path, project, f"exec {sys.executable} -m pytest -q -p no:cacheprovider"))
    assert ended.returncode == 1
    assert re.search(r"^ci: .*1 failed, 1 passed in ", ended.stdout, re.MULTILINE), ended.stdout
    assert ended.stdout.splitlines()[-1] == "ci: no process was left behind"


def test_ci_finds_and_ends_a_process_that_the_tests_left(project, tmp_path):
    # In a session and a folder of its own, as an app's host is.
    body = "cd /; setsid sleep 300 & echo $! >&2; echo '=== 1 passed in 0.01s ==='"
    ended = run(ci_that_tests(tmp_path, project, body))
    assert ended.returncode == 70, ended.stdout
    left = re.search(r"left behind, and have been killed:\n  (\d+) .*sleep 300", ended.stdout)
    assert left, ended.stdout
    deadline = time.monotonic() + 5
    while psutil.pid_exists(int(left[1])) and psutil.Process(int(left[1])).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline


def test_ci_gives_up_at_its_deadline(project, tmp_path):
    script = ci_that_tests(tmp_path, project, "echo started; exec sleep 300")
    ended = run(script, env=os.environ | {"CI_DEADLINE": "1"})
    assert ended.returncode == 124, ended.stdout
    assert "started" in ended.stdout and "not finished after 1 s" in ended.stdout


def test_ci_stopped_from_outside_ends_the_tests(project, tmp_path):
    script = ci_that_tests(tmp_path, project, "setsid sleep 300 & sleep 300 & echo started; wait")
    ci = subprocess.Popen([script], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    try:
        assert ci.stdout.readline() == "started\n"
        deadline = time.monotonic() + 10
        while True:  # "started" may be said a moment before both have become what they are
            children = psutil.Process(ci.pid).children(recursive=True)
            if [child.name() for child in children].count("sleep") == 2:
                break
            assert time.monotonic() < deadline
    finally:
        ci.terminate()
        try:
            status = ci.wait(20)
        finally:
            ci.kill()
            ci.wait()
    with ci.stdout:
        assert "stopped from outside" in ci.stdout.read()
    assert status == 143
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.skipif(os.getuid() != 0, reason="debootstrap and chroot need root")
@pytest.mark.skipif(not shutil.which("debootstrap"), reason="needs debootstrap: apt-get install debootstrap")
@pytest.mark.parametrize("options", [("--ci",), ("--as-user",)], ids=["root", "as-user"])
def test_both_commands_work_in_a_bare_debian(project, tmp_path, options):
    ended = run(
        project / "tests" / "setup" / "bare_debian.sh",
        *options,
        timeout=2900,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
