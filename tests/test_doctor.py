"""doctor: what it finds on this machine and on one made worse, and how it says so."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.proxy import Company

from labplatform import doctor, machine, messages, network, resources
from labplatform.doctor import Check, Report, as_json, as_text, known_bad, report
from labplatform.errors import LaunchError
from labplatform.messages import ConnectionFile, SandboxInfo
from labplatform.supervisor.limits import TIERS

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's own files")


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return machine.runtime_folder()


def check(name, found=None):
    return next(check for check in (found or report()).checks if check.name == name)


# --- this machine -----------------------------------------------------------------------------------------------------


@linux
def test_everything_is_looked_at_once(runtime):
    names = [check.name for check in report().checks]
    assert len(set(names)) == len(names)
    assert set(names) >= {
        *("system", "Python", "packages", "system libraries", "fonts", "display", "user namespaces", "sandbox"),
        *(
            "proxy",
            "certificates",
            "/dev/shm",
            "home folder",
            "runtime folder",
            "connection files",
            "cgroups",
            "limits",
            "limits, but",
            "sample data",
            "page agent",
        ),
    }


@linux
def test_what_is_well_needs_no_remedy(runtime):
    for found in report().checks:
        assert found.found
        assert not (found.state == "ok" and found.remedy), found


@linux
def test_it_agrees_with_the_machine(runtime):
    found = report()
    assert check("display", found).found == machine.choose_display().why
    assert check("system libraries", found).state == ("problem" if machine.missing_libraries() else "ok")
    assert check("page agent", found).state == ("ok" if resources.page_agent().is_file() else "problem")
    assert check("runtime folder", found).found == str(runtime)
    first = re.findall(r" - cgroup \S+ (?:\S*,)?memory", Path("/proc/self/mountinfo").read_text())
    assert ("v1 controllers" in check("cgroups", found).found) == bool(first)


@linux
def test_which_tier_of_limits_works_is_tried_and_told(runtime, monkeypatch):
    found = report()
    tier = re.match(r"of apps are enforced by (\S+); memory is ", check("limits", found).found)[1]
    assert tier in ("cgroup-v2", "systemd", "cgroup-v1", "watchdog")
    better = [one.found for one in found.checks if one.name == "limits, not by"]
    assert bool(better) == (tier != TIERS[0].name)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert check("limits").state == "problem"


# --- the way to the web -----------------------------------------------------------------------------------------------


def way(monkeypatch, **environ):
    """The checks of proxy and certificates with this environment, and no certificates of the system's own."""
    monkeypatch.setattr(network, "SYSTEM_BUNDLES", ())
    return {check.name: check for check in doctor._network(network.survey(environ))}


def test_the_way_to_the_web(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CURRENT_DESKTOP", raising=False)
    found = way(monkeypatch)
    assert found["proxy"] == Check("proxy", "ok", "none: the web is asked directly")
    assert found["certificates"] == Check("certificates", "ok", "Mozilla's list")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    assert way(monkeypatch)["proxy"].found == "none in the environment; pages go by the desktop's own settings"
    company = Company(tmp_path)
    found = way(
        monkeypatch,
        HTTP_PROXY="http://me:secret@p:3128",
        https_proxy="q:1",
        NO_PROXY=".corp,10.0.0.0/8",
        SSL_CERT_FILE=str(company.file),
    )
    assert found["proxy"].found == (
        "http through http://p:3128, https through http://q:1; direct: this machine, corp, 10.0.0.0/8"
    )
    assert found["certificates"].found == f"Mozilla's list, 1 more of SSL_CERT_FILE={company.file}"
    monkeypatch.setattr(doctor, "_pages_can_trust", lambda: False)
    found = way(monkeypatch, SSL_CERT_FILE=str(company.file))["certificates"]
    assert found.state == "warning" and "PySide6-Addons>=6.10" in found.remedy


def test_a_wrong_way_to_the_web(monkeypatch):
    found = way(monkeypatch, HTTPS_PROXY="p:port", SSL_CERT_FILE="/none.pem")
    assert found["proxy"].state == found["certificates"].state == "warning"
    assert found["proxy"].found.startswith("HTTPS_PROXY is not the address of a proxy")
    assert found["certificates"].found.startswith("SSL_CERT_FILE=/none.pem cannot be read: ")


# --- a machine made worse ---------------------------------------------------------------------------------------------


@linux
def test_a_display_that_is_named_and_does_not_answer(runtime, monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":7999")
    found = check("display")
    assert (found.state, found.remedy) == ("warning", "start the display server, or unset DISPLAY")


@linux
def test_no_home(runtime, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    assert check("home folder").state == "problem"


@linux
def test_a_runtime_folder_that_is_not_safe(runtime):
    runtime.rmdir()
    runtime.symlink_to(runtime.parent)
    found = report()
    assert check("runtime folder", found).state == "problem"
    assert "set XDG_RUNTIME_DIR" in check("runtime folder", found).remedy
    assert found.exit_code == 1


@linux
@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode != 0,
    reason="this machine makes no user and mount namespaces",
)
def test_a_machine_that_lacks_a_library_and_shared_memory():
    binary = next(file for file in machine._qt_binaries("offscreen") if "libqoffscreen" in file.name)
    victim = re.search(r"libxkbcommon\.so\.0 => (\S+)", machine._linked(binary))[1]
    script = f'mount --bind /dev/null {victim}; mount -t tmpfs -o size=64m none /dev/shm; exec "$@"'
    code = (
        "from labplatform import doctor; r = doctor.report(); print(doctor.as_json(r)); raise SystemExit(r.exit_code)"
    )
    environ = {key: value for key, value in os.environ.items() if "DISPLAY" not in key and key != "QT_QPA_PLATFORM"}
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-e", "-c", script, "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        env=environ,
    )
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert found["system libraries"]["state"] == "problem"
    assert "libxkbcommon.so.0" in found["system libraries"]["found"]
    assert "libxkbcommon0" in found["system libraries"]["remedy"]
    assert found["/dev/shm"]["state"] == "warning"
    assert found["/dev/shm"]["found"].startswith("64 MiB")


def test_versions_that_are_known_not_to_do():
    def words(python=(3, 12), **versions):
        return [
            (check.name, check.state)
            for check in known_bad({k.replace("_", "-"): v for k, v in versions.items()}, python)
        ]

    assert words(PySide6_Essentials="6.11.3", PySide6_Addons="6.11.3", ipykernel="7.3.0") == []
    bad = {"PySide6_Essentials": "6.12.0", "PySide6_Addons": "6.12.0"}
    assert words((3, 11), **bad) == [("PySide6", "problem")]
    assert words((3, 12), **bad) == []
    assert words(PySide6_Essentials="6.11.3", PySide6_Addons="6.11.2") == [("PySide6", "problem")]
    for version, warned in [("6.29.5", True), ("7.0.1", True), ("7.1.0", False), ("7.4.0", True), ("8.0.0", True)]:
        assert bool(words(ipykernel=version)) == warned, version


# --- connection files -------------------------------------------------------------------------------------------------


def connection_file(folder, pid, created, mode=0o600):
    file = folder / f"platform-{pid}.json"
    content = ConnectionFile(
        pid=pid, created=created, port=1, token="t", isolation="process", controller_pid=os.getpid()
    )
    file.write_bytes(messages.encode(content))
    file.chmod(mode)
    return file


@linux
def test_connection_files(runtime):
    assert check("connection files").found == "0 running platforms, no file left behind"
    live = connection_file(runtime, os.getpid(), psutil.Process().create_time())
    assert check("connection files").found == "1 running platform, no file left behind"

    reused = connection_file(runtime, os.getppid(), time.time() - 10**6)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    gone = connection_file(runtime, ended.pid, time.time())
    broken = runtime / "platform-0.json"
    broken.write_text("{")
    found = check("connection files")
    assert found.state == "warning"
    assert found.found.startswith("3 of platforms that are gone")
    assert all(str(file) in found.remedy for file in (reused, gone, broken))
    assert str(live) not in found.remedy

    live.chmod(0o644)
    found = check("connection files")
    assert (found.state, found.remedy) == ("problem", f"chmod 600 {live}")


# --- the sandbox ------------------------------------------------------------------------------------------------------


@linux
def test_the_sandbox_is_what_the_probe_read(runtime):
    found = check("sandbox", report(lambda: SandboxInfo(seccomp=True, pid_namespace=True)))
    assert (found.state, found.remedy) == ("ok", "")
    assert found.found.endswith("has: seccomp filter, own PID namespace")
    found = check("sandbox", report(lambda: SandboxInfo(seccomp=False, pid_namespace=False)))
    assert found.state == "warning" and "has: off" in found.found
    found = check("sandbox", report(lambda: SandboxInfo(why="there is no process 1")))
    assert found.state == "warning" and "not known: there is no process 1" in found.found


@linux
def test_a_probe_that_fails_is_a_problem(runtime):
    def fail():
        raise LaunchError("probe: its page did not load")

    found = report(fail)
    assert check("sandbox", found).state == "problem"
    assert "its page did not load" in check("sandbox", found).found
    assert found.exit_code == 1


@linux
def test_without_a_probe_nothing_is_claimed(runtime):
    found = check("sandbox")
    if "--no-sandbox" in machine.chromium_flags()[0]:
        assert found.state == "warning"
    else:
        assert "--launch" in found.found


# --- how it is said ---------------------------------------------------------------------------------------------------

SAMPLE = Report(
    (
        Check("fonts", "ok", "at least one is there"),
        Check("sandbox", "warning", "off, " + "for many reasons " * 12, "run it as an ordinary user"),
        Check("system libraries", "problem", "missing: libEGL.so.1", "sudo apt-get install -y " + "libegl1 " * 30),
    )
)


def test_text_is_plain_and_fits():
    text = as_text(SAMPLE, color=False, width=80)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines if "apt-get" not in line)
    # A line to be copied stays in one piece.
    assert sum("libegl1" in line for line in lines) == 1
    assert "✓ ok" in text and "! warning" in text and "✗ problem" in text
    assert lines[-1] == "1 problem and 1 warning. Mend the problems before you start the platform."


def test_verdicts():
    assert as_text(Report(SAMPLE.checks[:1])).endswith("All is well; the platform runs here.")
    assert as_text(Report(SAMPLE.checks[:2])).endswith("1 warning; the platform runs here.")
    assert [Report(SAMPLE.checks[:n]).state for n in (1, 2, 3)] == ["ok", "warning", "problem"]
    assert [Report(SAMPLE.checks[:n]).exit_code for n in (1, 2, 3)] == [0, 0, 1]


SHOW = (
    "from labplatform.doctor import *\n"
    "print(as_text(Report((Check('fonts', 'ok', 'there'), Check('sandbox', 'problem', 'off', 'mend it')))))"
)


@linux
def test_color_on_a_terminal_only():
    def on_a_terminal(**environ):
        reader, writer = pty.openpty()
        clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        with subprocess.Popen([sys.executable, "-c", SHOW], stdout=writer, env=clean | environ) as shown:
            os.close(writer)
            said = b""
            while chunk := _read_terminal(reader):
                said += chunk
            assert shown.wait(30) == 0
        os.close(reader)
        return said.decode()

    assert "\x1b[31m✗ problem" in on_a_terminal()
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, timeout=30).stdout


def _read_terminal(reader):
    try:
        return os.read(reader, 4096)
    except OSError:  # Linux says "Input/output error" where a terminal ends
        return b""


def test_a_terminal_without_the_icons():
    done = subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, timeout=30, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert b"x problem" in done.stdout and b"-> mend it" in done.stdout


def test_json(runtime):
    found = report()
    data = json.loads(as_json(found))
    assert data["state"] == found.state
    assert [entry["name"] for entry in data["checks"]] == [check.name for check in found.checks]
    assert data["checks"][0].keys() == {"name", "state", "found", "remedy"}
    assert doctor.as_json(SAMPLE).count('"problem"') == 2
