"""What the machine offers, asked of real sockets, real namespaces, real libraries and the real /proc."""

import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labplatform import machine
from labplatform.errors import PlatformError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's own files")

UNSHARE = shutil.which("unshare")


def asked(code, *, before=(), **environ):
    """What `print(json)` in a fresh Python says; `before`: a command that runs it."""
    done = subprocess.run(
        [*before, sys.executable, "-c", f"import json\nfrom labplatform import machine\nprint(json.dumps({code}))"],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_namespaces(flags, script):
    """A command prefix: run `script` in new namespaces, then what follows."""
    return [UNSHARE, *flags, "sh", "-e", "-c", f'{script}\nexec "$@"', "sh"]


def can_unshare():
    return UNSHARE and subprocess.run([UNSHARE, "-Urm", "true"], capture_output=True, timeout=10).returncode == 0


namespaces = pytest.mark.skipif(not can_unshare(), reason="this machine makes no user and mount namespaces")


# --- display ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen(1)
        yield server


def free_display():
    """A display number of which no X server knows."""
    taken = Path("/proc/net/unix").read_text()
    return next(
        n for n in range(700, 2000) if f"X11-unix/X{n}" not in taken and not Path(f"/tmp/.X11-unix/X{n}").exists()
    )


def test_an_abstract_x_socket():
    number = free_display()
    environ = {"DISPLAY": f":{number}.0"}
    assert machine.choose_display(environ).qt_platform == "offscreen"
    with listening(socket.AF_UNIX, f"\0/tmp/.X11-unix/X{number}"):
        assert machine.choose_display(environ).qt_platform == "xcb"
        assert machine.choose_display({"DISPLAY": f"unix:{number}"}).qt_platform == "xcb"
        assert machine.choose_display({"DISPLAY": f":{number + 1}"}).qt_platform == "offscreen"


def test_an_x_socket_in_the_file_system():
    number = free_display()
    path = Path(f"/tmp/.X11-unix/X{number}")
    try:
        path.parent.mkdir(mode=0o1777)
    except FileExistsError:
        pass
    else:
        path.parent.chmod(0o1777)
    try:
        with listening(socket.AF_UNIX, str(path)):
            assert machine.choose_display({"DISPLAY": f":{number}"}).qt_platform == "xcb"
        # The file stays behind when a server is killed; nobody answers.
        assert path.is_socket()
        assert machine.choose_display({"DISPLAY": f":{number}"}).qt_platform == "offscreen"
    finally:
        path.unlink(missing_ok=True)


def test_an_x_server_over_tcp():
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server:
        number = server.getsockname()[1] - 6000
        assert machine.choose_display({"DISPLAY": f"127.0.0.1:{number}.0"}).qt_platform == "xcb"
    assert machine.choose_display({"DISPLAY": f"127.0.0.1:{number}.0"}).qt_platform == "offscreen"


def test_an_x_server_that_does_not_accept_has_half_a_second():
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):  # more than its queue holds: from then on a connection waits
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        started = time.monotonic()
        found = machine.choose_display({"DISPLAY": f"127.0.0.1:{server.getsockname()[1] - 6000}"})
        assert found.qt_platform == "offscreen"
        assert time.monotonic() - started < 4 * machine.X_DEADLINE


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="no Xvfb here")
def test_a_real_x_server():
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "64x64x24"], pass_fds=[writer], stderr=subprocess.DEVNULL
    )
    try:
        os.close(writer)
        assert select.select([reader], [], [], 20)[0], "Xvfb did not say its display in time"
        number = os.read(reader, 16).decode().strip()
        assert machine.choose_display({"DISPLAY": f":{number}"}) == ("xcb", f"windows on the X display :{number}")
    finally:
        os.close(reader)
        server.terminate()
        server.wait(20)


def test_wayland_only_where_x_is_not(tmp_path):
    number = free_display()
    environ = {"WAYLAND_DISPLAY": "wayland-7", "XDG_RUNTIME_DIR": str(tmp_path), "DISPLAY": f":{number}"}
    missing = machine.choose_display(environ)
    assert missing.qt_platform == "offscreen"
    assert f"DISPLAY is :{number}" in missing.why and "WAYLAND_DISPLAY is wayland-7" in missing.why
    with listening(socket.AF_UNIX, str(tmp_path / "wayland-7")):
        assert machine.choose_display(environ).qt_platform == "wayland"
        assert machine.choose_display({"WAYLAND_DISPLAY": str(tmp_path / "wayland-7")}).qt_platform == "wayland"
        with listening(socket.AF_UNIX, f"\0/tmp/.X11-unix/X{number}"):
            assert machine.choose_display(environ).qt_platform == "xcb"


def test_what_is_asked_for_wins():
    assert machine.choose_display({"QT_QPA_PLATFORM": "vnc", "DISPLAY": ":0"}).qt_platform == "vnc"


def test_no_display_says_how_to_see_the_windows():
    assert machine.choose_display({}) == (
        "offscreen",
        "no display: windows are drawn off screen; app.view() shows them",
    )


@pytest.mark.parametrize("name", ["", ":", "x", ":x", "a:b:c", ":99999999", "nosuchhost.invalid:0", "\0:1", "/tmp/x:0"])
def test_displays_that_are_none(name):
    assert machine.choose_display({"DISPLAY": name}).qt_platform == "offscreen"


# --- libraries --------------------------------------------------------------------------------------------------------


def qt():
    return Path(machine.importlib.util.find_spec("PySide6").origin).parent / "Qt"


@pytest.fixture
def other_qt(tmp_path):
    """A PySide6 whose WebEngine is a real, small library of Qt that asks for libraries that exist nowhere."""
    text = (qt() / "plugins/platforms/libqoffscreen.so").read_bytes()

    def make(**names):
        patched = text
        for old, new in names.values():
            assert len(old) == len(new) and old + b"\0" in patched
            patched = patched.replace(old + b"\0", new + b"\0")
        folder = tmp_path / "PySide6"
        for name in ("Qt/lib/libQt6WebEngineCore.so.6", "Qt/plugins/platforms/libqoffscreen.so"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(patched)
        (folder / "__init__.py").touch()
        # Its own Qt libraries are the real ones.
        return {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "LD_LIBRARY_PATH": str(qt() / "lib"),
        }

    return make


def test_a_library_that_is_nowhere(other_qt):
    environ = other_qt(one=(b"libxkbcommon.so.0", b"libxkbnowhere.so1"))
    assert asked("machine.missing_libraries()", **environ) == {"libxkbnowhere.so1": ""}


@namespaces
def test_a_library_that_is_taken_away():
    libraries = machine._linked(qt() / "plugins/platforms/libqxcb.so")
    victim = re.search(r"libxcb-cursor\.so\.0 => (\S+)", libraries)
    if not victim:
        pytest.skip("no libxcb-cursor here")
    # An empty file in its place: the loader stops there, as it does at a half-installed package.
    hidden = in_namespaces(["-Urm"], f"mount --bind /dev/null {victim[1]}")
    missing = asked("machine.missing_libraries('xcb')", before=hidden)
    assert missing == {"libxcb-cursor.so.0": "libxcb-cursor0"}


def test_a_glibc_that_is_too_old(other_qt):
    environ = other_qt(one=(b"GLIBC_2.4", b"GLIBC_9.9"))
    assert asked("machine.missing_libraries()", **environ) == {"GLIBC_9.9": ""}


def test_no_pyside_at_all():
    # `None` in `sys.modules` is Python's own way to say that a module cannot be had.
    code = "import sys; sys.modules['PySide6'] = None; from labplatform import machine; machine.missing_libraries()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "PlatformError: PySide6, which draws the windows, is not installed" in done.stderr


@pytest.mark.skipif(not shutil.which("readelf"), reason="no readelf here")
def test_every_library_that_qt_asks_the_system_for_has_its_package():
    binaries = [file for plugin in ("offscreen", "xcb", "wayland") for file in machine._qt_binaries(plugin)]
    own = {file.name for file in (qt() / "lib").iterdir()}
    linked = {
        qt() / "lib" / name for file in binaries for name in re.findall(r"^\s*(\S+) =>", machine._linked(file), re.M)
    }
    files = [*dict.fromkeys(binaries), *sorted(file for file in linked if file.is_file())]
    said = subprocess.run(["readelf", "-d", *map(str, files)], capture_output=True, text=True, timeout=60, check=True)
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", said.stdout)) - own
    # libc6 and libgcc-s1 are on every machine that runs Python.
    everywhere = {name for name in needed if re.match(r"(lib(c|m|dl|rt|pthread|resolv|gcc_s)\.so|ld-linux)", name)}
    assert needed - everywhere - machine._PACKAGES.keys() == set()


def test_package_names():
    libraries = ["libasound.so.2", "libgthread-2.0.so.0", "libglib-2.0.so.0", "libEGL.so.1", "libunknown.so.1"]
    older = ["libasound2", "libegl1", "libglib2.0-0"]
    newer = ["libasound2t64", "libegl1", "libglib2.0-0t64"]
    for release, names in [
        ({"ID": "debian", "VERSION_ID": "12"}, older),
        ({"ID": "debian", "VERSION_ID": "13"}, newer),
        ({"ID": "debian"}, newer),  # testing and unstable have no version
        ({"ID": "ubuntu", "VERSION_ID": "22.04"}, older),
        ({"ID": "ubuntu", "VERSION_ID": "24.04"}, newer),
        ({"ID": "ubuntu", "VERSION_ID": "26.10"}, newer),
        ({"ID": "fedora", "VERSION_ID": "42"}, older),
        ({}, older),
    ]:
        assert machine.package_names(libraries, release) == names, release
    assert machine.package_names([]) == []


def test_install_line():
    line = machine.install_line(["libegl1", "libnss3"])
    assert line.endswith("libegl1 libnss3")
    if shutil.which("apt-get"):
        assert "apt-get install -y libegl1 libnss3" in line
        assert ("sudo " in line) == (os.geteuid() != 0)


def test_install_line_without_apt():
    assert "what Debian calls: libegl1" in asked("machine.install_line(['libegl1'])", PATH="/nowhere")


@namespaces
def test_fonts(tmp_path):
    config = tmp_path / "fonts.conf"
    config.write_text("<fontconfig/>")
    no_fonts = in_namespaces(
        ["-Urm"],
        "for folder in /usr/share/fonts /usr/local/share/fonts; do\n"
        'if [ -d "$folder" ]; then mount -t tmpfs none "$folder"; fi\ndone',
    )

    def found():
        own = {"FONTCONFIG_FILE": str(config), "HOME": str(tmp_path / "home"), "XDG_DATA_HOME": ""}
        return asked("machine.has_font()", before=no_fonts, **own)

    place = tmp_path / "home/.local/share/fonts/x"
    place.mkdir(parents=True)
    (place / "readme.txt").touch()
    assert found() is False
    (place / "X.TTF").touch()
    assert found() is True
    (place / "X.TTF").unlink()
    elsewhere = tmp_path / "letters"
    elsewhere.mkdir()
    (elsewhere / "y.otf").touch()
    assert found() is False
    config.write_text(f"<fontconfig><dir>{elsewhere}</dir></fontconfig>")
    assert found() is True


# --- shared memory and flags ------------------------------------------------------------------------------------------


def test_shared_memory_as_statvfs_says():
    size = machine.shared_memory()
    if os.access("/dev/shm", os.W_OK):
        facts = os.statvfs("/dev/shm")
        assert size == facts.f_blocks * facts.f_frsize
    else:
        assert size is None


@namespaces
@pytest.mark.parametrize(
    ("options", "size", "words"),
    [
        ("size=64m", 64 << 20, "/dev/shm holds only 64 MiB"),
        ("size=512m", 512 << 20, None),
        ("size=64m,ro", None, "/dev/shm is missing or not writable"),
    ],
)
def test_a_small_shared_memory(options, size, words):
    small = in_namespaces(["-Urm"], f"mount -t tmpfs -o {options} none /dev/shm")
    found, (flags, reasons) = asked("[machine.shared_memory(), machine.chromium_flags()]", before=small)
    assert found == size
    assert len(flags) == len(reasons)
    told = dict(zip(flags, reasons, strict=True)).get("--disable-dev-shm-usage")
    assert (told or "").startswith(words or "") and (told is None) == (words is None)


@namespaces
def test_no_shared_memory_at_all():
    bare = in_namespaces(["-Urm"], "exec 3</dev/null; mount -t tmpfs none /dev; : > /dev/null")
    assert asked("machine.shared_memory()", before=bare) is None


def test_flags_on_this_machine():
    flags, reasons = machine.chromium_flags()
    assert ("--no-sandbox" in flags) == (os.geteuid() == 0 or not machine.user_namespaces()[0])
    assert all(reason.endswith(".") for reason in reasons)
    if os.geteuid() == 0:
        assert "as root Chromium does not start with it" in " ".join(reasons)


ORDINARY = [UNSHARE, "-U", "--map-user=1000", "--map-group=1000"]
"""A command prefix: run what follows as a user who is not root, as far as it can tell."""
NONE_LEFT = "echo {levels} > /proc/sys/user/max_user_namespaces"


@namespaces
def test_user_namespaces_that_the_system_refuses():
    refusing = in_namespaces(["-Ur"], NONE_LEFT.format(levels=0))
    granted, found = asked("machine.user_namespaces()", before=refusing)
    assert not granted
    assert found.startswith("this system refuses a user namespace: ")


@namespaces
def test_an_ordinary_user_whose_system_refuses_needs_the_flag():
    # One more level, for becoming an ordinary user, and none below it.
    refusing = [*in_namespaces(["-Ur"], NONE_LEFT.format(levels=1)), *ORDINARY]
    flags, reasons = asked("machine.chromium_flags()", before=refusing)
    assert "--no-sandbox" in flags
    assert "needs user namespaces, and this system refuses a user namespace: No space" in " ".join(reasons)


@namespaces
def test_an_ordinary_user_keeps_the_sandbox():
    flags, _ = asked("machine.chromium_flags()", before=ORDINARY)
    assert "--no-sandbox" not in flags


def test_user_namespaces_agree_with_unshare():
    granted, found = machine.user_namespaces()
    assert found
    if os.geteuid() != 0 and UNSHARE:
        tried = subprocess.run([UNSHARE, "-Urpn", "--fork", "true"], capture_output=True, timeout=10)
        assert granted == (tried.returncode == 0)


# --- the sandbox of a process -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(prepare):
    """A forked child that has done `prepare` and waits."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(told)
        assert select.select([ready], [], [], 10)[0] and os.read(ready, 1) == b"x"
        yield pid
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


LIBC = ctypes.CDLL(None, use_errno=True)


def filtered():
    """Put on a seccomp filter that allows everything."""

    class Filter(ctypes.Structure):
        _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter)))

    allow = Filter(0x06, 0, 0, 0x7FFF0000)  # BPF_RET, SECCOMP_RET_ALLOW
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert LIBC.prctl(22, 2, ctypes.byref(Program(1, ctypes.pointer(allow))), 0, 0) == 0  # PR_SET_SECCOMP, filter


def already_filtered():
    return "Seccomp:\t0" not in Path("/proc/self/status").read_text()


def test_a_process_without_a_sandbox():
    with child(lambda: None) as pid:
        info = machine.sandbox_of(pid)
    assert info.seccomp is already_filtered()
    assert (info.pid_namespace, info.network_namespace, info.user_namespace) == (False, False, False)
    assert not info.holds
    assert info.why == ""


def test_a_process_with_a_filter():
    with child(filtered) as pid:
        info = machine.sandbox_of(pid)
    assert info.seccomp is True
    assert info.pid_namespace is False


@namespaces
def test_a_process_in_namespaces_of_its_own():
    # What Chromium's zygote does: a user namespace, and in it a process in new PID and network namespaces.
    inner = subprocess.Popen(
        [UNSHARE, "-Urpn", "--fork", "--kill-child", "sh", "-c", "echo x; exec sleep 60"], stdout=subprocess.PIPE
    )
    try:
        assert inner.stdout.read(1) == b"x"
        (pid,) = map(int, Path(f"/proc/{inner.pid}/task/{inner.pid}/children").read_text().split())
        info = machine.sandbox_of(pid)
        assert (info.pid_namespace, info.network_namespace, info.user_namespace) == (True, True, True)
        assert machine.sandbox_of(inner.pid).pid_namespace is False
    finally:
        inner.kill()
        inner.wait(10)
        inner.stdout.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not look")
def test_a_process_that_may_not_be_looked_into():
    """Another user's namespaces are closed; what `status` says is still there, and the rest is not guessed."""
    with child(lambda: None) as pid:
        reader, writer = os.pipe()
        if (looker := os.fork()) == 0:
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                LIBC.prctl(4, 1, 0, 0, 0)
                info = machine.sandbox_of(pid)
                os.write(writer, repr((info.seccomp, info.network_namespace, info.user_namespace, info.why)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as stream:
            said = stream.read()
        os.waitpid(looker, 0)
    why = "its net, user namespace cannot be read by this user"
    assert said in {repr((already_filtered(), None, None, why.replace("net", names))) for names in ("net", "pid, net")}


def test_a_process_that_is_gone():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    info = machine.sandbox_of(ended.pid)
    assert info.seccomp is None and info.why == f"there is no process {ended.pid}"


def test_a_process_that_has_ended_and_waits_to_be_collected():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert machine.sandbox_of(pid) == machine.SandboxInfo(why=f"process {pid} has ended")
    finally:
        os.waitpid(pid, 0)


# --- the runtime folder -----------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "labplatform"


def test_the_runtime_folder_is_made_and_private(runtime):
    assert machine.runtime_folder() == runtime
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    (runtime / "platform-1.json").touch()
    assert machine.runtime_folder() == runtime
    assert (runtime / "platform-1.json").exists()


def test_a_runtime_folder_open_to_others_is_closed(runtime):
    runtime.mkdir()
    runtime.chmod(0o777)
    machine.runtime_folder()
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700


def test_the_runtime_folder_is_no_link(runtime, tmp_path):
    target = tmp_path / "elsewhere"
    target.mkdir()
    target.chmod(0o755)
    runtime.symlink_to(target)
    with pytest.raises(PlatformError, match=r"is a symbolic link.*set XDG_RUNTIME_DIR"):
        machine.runtime_folder()
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_the_runtime_folder_is_no_file(runtime):
    runtime.touch()
    with pytest.raises(PlatformError, match="is not a folder"):
        machine.runtime_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_runtime_folder_of_somebody_else(runtime):
    runtime.mkdir(mode=0o700)
    os.chown(runtime, 65534, 65534)
    with pytest.raises(PlatformError, match=r"belongs to user 65534, and this is user 0.*connection files"):
        machine.runtime_folder()


def test_without_a_login_session_it_lies_in_the_temporary_folder(tmp_path):
    environ = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"} | {"TMPDIR": str(tmp_path)}
    code = "from labplatform import machine; print(machine.runtime_folder())"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, timeout=30, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    folder = Path(done.stdout.strip())
    if not folder.is_relative_to(tmp_path):
        assert folder.is_relative_to("/run/user")
        return
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # Somebody else's name in a place where everybody may write.
    shutil.rmtree(folder.parent)
    (tmp_path / "trap").mkdir()
    folder.parent.symlink_to(tmp_path / "trap")
    done = subprocess.run(run, capture_output=True, text=True, timeout=30, env=environ)
    assert "PlatformError" in done.stderr and not list((tmp_path / "trap").iterdir())


# --- as a whole -------------------------------------------------------------------------------------------------------


def test_supported():
    fine, found = machine.supported()
    assert fine and found


def test_asking_imports_nothing_heavy():
    code = (
        "import sys; from labplatform import machine; machine.choose_display(); machine.chromium_flags(); "
        "machine.missing_libraries(); machine.has_font(); "
        "print({'PySide6', 'webview', 'psutil', 'asyncio', 'IPython'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "set()"
