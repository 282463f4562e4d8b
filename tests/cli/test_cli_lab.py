"""`labplatform lab`: lessons that stay the person's own, and a JupyterLab that one Ctrl-C ends with all below it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from support.apps import APPS
from support.processes import runs, until
from websockets.sync.client import connect

from labplatform import resources
from labplatform.cli.lab import RECORD, copy_lessons, default_folder
from labplatform.errors import LabError

# --- the lessons


@pytest.fixture
def shipped(tmp_path) -> Path:
    folder = tmp_path / "shipped"
    (folder / "pictures").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "01.ipynb").write_text("one")
    (folder / "02.ipynb").write_text("two")
    (folder / "pictures" / "map.svg").write_text("<svg/>")
    (folder / ".ipynb_checkpoints" / "01.ipynb").write_text("old")
    return folder


def _names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_lessons_are_copied_whole(shipped, tmp_path):
    mine = tmp_path / "mine"
    assert copy_lessons(shipped, mine) == []
    assert _names(mine) == {"01.ipynb", "02.ipynb", "pictures/map.svg", RECORD}
    assert os.access(mine / "01.ipynb", os.W_OK)


def test_an_untouched_lesson_is_renewed_and_a_lost_one_comes_back(shipped, tmp_path):
    mine = tmp_path / "mine"
    copy_lessons(shipped, mine)
    (shipped / "01.ipynb").write_text("one, better")
    (mine / "02.ipynb").unlink()
    assert copy_lessons(shipped, mine) == []
    assert (mine / "01.ipynb").read_text() == "one, better"
    assert (mine / "02.ipynb").read_text() == "two"


def test_a_changed_lesson_is_kept_and_the_new_one_put_beside_it_once(shipped, tmp_path):
    mine = tmp_path / "mine"
    copy_lessons(shipped, mine)
    (mine / "01.ipynb").write_text("my own words")
    assert copy_lessons(shipped, mine) == []  # nothing new was shipped
    assert _names(mine) == {"01.ipynb", "02.ipynb", "pictures/map.svg", RECORD}

    (shipped / "01.ipynb").write_text("one, better")
    assert copy_lessons(shipped, mine) == [
        "you have changed 01.ipynb, so it is kept; its new version is 01 (new).ipynb"
    ]
    assert copy_lessons(shipped, mine) == []
    assert (mine / "01.ipynb").read_text() == "my own words"
    assert (mine / "01 (new).ipynb").read_text() == "one, better"

    (shipped / "01.ipynb").write_text("one, best")
    copy_lessons(shipped, mine)
    assert (mine / "01 (new).ipynb").read_text() == "one, best"  # nobody had touched it
    (mine / "01 (new).ipynb").write_text("mine as well")
    (shipped / "01.ipynb").write_text("one, last")
    copy_lessons(shipped, mine)
    assert (mine / "01.ipynb").read_text() == "my own words"
    assert (mine / "01 (new).ipynb").read_text() == "mine as well"
    assert (mine / "01 (new 2).ipynb").read_text() == "one, last"


def test_a_file_that_was_there_before_is_the_persons(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "01.ipynb").write_text("something else")
    (mine / RECORD).write_text("rubbish")
    copy_lessons(shipped, mine)
    assert (mine / "01.ipynb").read_text() == "something else"
    assert (mine / "01 (new).ipynb").read_text() == "one"


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(shipped, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"file/mine: Not a directory; name another folder with --folder"):
        copy_lessons(shipped, tmp_path / "file" / "mine")


def test_lessons_go_here_unless_here_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder() == tmp_path / "labplatform-lessons"
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != str(tmp_path))
    assert default_folder().parent != tmp_path


# --- JupyterLab


@pytest.fixture
def terminal():
    """A real terminal as standard input: there JupyterLab would ask whether Ctrl-C is meant."""
    main, other = pty.openpty()
    yield other
    os.close(main)
    os.close(other)


def _get(address: str) -> tuple[int, str]:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.status, answer.read().decode(errors="replace")


def _status(address: str) -> int | None:
    try:
        return _get(address)[0]
    except urllib.error.URLError as error:
        return getattr(error, "code", None)


def _execute(address: str, token: str, code: str, seconds: float = 60) -> str:
    """Run code in a new kernel of the server, and return the first line that it prints."""
    request = urllib.request.Request(f"{address}/api/kernels?token={token}", data=b"{}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        kernel = json.load(answer)["id"]
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": uuid.uuid4().hex}
    header |= {"username": "", "version": "5.3", "date": "2000-01-01T00:00:00Z"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    host = address.removeprefix("http")
    with connect(f"ws{host}/api/kernels/{kernel}/channels?token={token}", proxy=None, max_size=None) as channels:
        channels.send(json.dumps(message))
        while True:
            answer = json.loads(channels.recv(seconds))
            if answer["msg_type"] == "error":
                raise AssertionError(answer["content"])
            if answer["msg_type"] == "stream" and answer["content"]["name"] == "stdout":
                return answer["content"]["text"].strip()


def test_one_interrupt_ends_jupyterlab_its_kernel_and_the_kernels_platform(talker, terminal, tmp_path):
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("RUNTIME", "CONFIG", "DATA")}
    environ = os.environ | own | {"PYTHONUNBUFFERED": "1", "IPYTHONDIR": str(tmp_path / "ipython")}
    lab = talker("lab", "--no-browser", "--ip", "127.0.0.1", stdin=terminal, env=environ)
    line = lab.line(lambda line: re.search(r"http://127\.0\.0\.1:\d+/\S*\?token=", line), 30)
    address, page, token = re.search(r"(http://127\.0\.0\.1:\d+)(/\S*)\?token=(\w+)", line).groups()

    lessons = sorted(file.name for file in resources.notebooks_folder().glob("*.ipynb"))
    assert page == (f"/lab/tree/{lessons[0]}" if lessons else "/lab")
    assert {file.name for file in (tmp_path / "labplatform-lessons").glob("*.ipynb")} == set(lessons)
    # The address is printed a moment before anybody listens there.
    until(lambda: _status(f"{address}/api/status?token={token}") == 200, 20, "the server's first answer")
    status, text = _get(f"{address}{page}?token={token}")
    assert status == 200 and "jupyter-config-data" in text

    code = f"""
from labplatform import Platform
platform = Platform({str(APPS)!r}, display="offscreen", quiet=True)
hello = platform.launch("hello")
print(platform.supervisor_pid, hello.pid)
"""
    pids = [int(word) for word in _execute(address, token, code).split()]
    assert len(pids) == 2 and all(map(runs, pids))
    assert lab.end(signal.SIGINT, 30) == 0
    until(lambda: not any(map(runs, pids)), 10, "the end of the kernel's platform")


def test_an_interrupt_while_jupyterlab_starts_is_no_traceback(talker, tmp_path):
    lab = talker("lab", "--no-browser", "--folder", tmp_path / "mine")
    lab.line(lambda line: "lessons in" in line)
    assert lab.end(signal.SIGINT, 20) in (0, 130)
    assert not any("Traceback" in line for line in lab.said), lab.said


def test_a_port_that_is_taken_is_said(cli, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("lab", "--no-browser", "--ip", "127.0.0.1", "--port", port, seconds=40)
    assert done.returncode == 1
    assert str(port) in done.stderr


def test_without_jupyterlab_it_says_what_to_install(cli, tmp_path):
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "__init__.py").write_text("raise ImportError('no module named jupyterlab')")
    done = cli("lab", "--no-browser", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"run {sys.executable} -m pip install jupyterlab")
