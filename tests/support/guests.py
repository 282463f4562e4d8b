"""Guests: this machine's files under another kernel, in QEMU, with control groups of version 2 and none of version 1.

`tests/guests/build` makes the kernel and its first file system. The guest reads this machine's files by 9p and writes
into its own memory only, so Python, the packages and this clone are there as they are here. It runs a script of ours,
as its first process, and says on a serial line how it went.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MADE = ROOT / ".cache" / "guests"
QEMU = "qemu-system-x86_64"
CPU = "max,arch-capabilities=off"
"""Without what a machine that is itself a guest may not hand on."""
KVM_SECONDS = 10
"""In which a kernel comes up with KVM, or never does."""
REPORTS = "/dev/ttyS1"
USER = 4242
"""The ordinary user of a guest: a user id that nobody has."""
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all"]

BEGIN = f"""
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 -o nsdelegate cgroup /sys/fs/cgroup
stty -F {REPORTS} raw -echo
# For whoever tests: the line to the outside, and the switch that calls the machine's out-of-memory killer.
chmod 666 {REPORTS} /proc/sysrq-trigger
echo 1 >/proc/sys/kernel/sysrq
# Python may lie in root's home; to this copy everybody may come in.
chmod a+x /root
"""

MASKED = (
    "systemd-tmpfiles-setup.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-firstboot.service",
    "systemd-journal-flush.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-random-seed.service",
    "systemd-timesyncd.service",
    "systemd-modules-load.service",
    "systemd-sysusers.service",
    "systemd-hwdb-update.service",
    "systemd-machine-id-commit.service",
    "dev-hugepages.mount",
    "systemd-binfmt.service",
)
END = "sync; echo o >/proc/sysrq-trigger; sleep 60"


class Report(NamedTuple):
    """What a guest said. `lines`: one for each test and one for each run; `console`: the end of what it printed."""

    lines: list[dict[str, Any]]
    console: str

    def of(self, run: str) -> list[dict[str, Any]]:
        """The lines of one of its runs of pytest."""
        return [line for line in self.lines if line["run"] == run]


def missing(*programs: str) -> str:
    """What has to be done before a guest can be booted, for people; "" if nothing."""
    if platform.machine() != "x86_64" or not sys.platform.startswith("linux"):
        return "guests are made for Linux on amd64"
    packages = {QEMU: "qemu-system-x86", **dict(pair.split("=") for pair in programs)}
    absent = [package for program, package in packages.items() if shutil.which(program) is None]
    if absent:
        return f"sudo apt-get install {' '.join(absent)}"
    if not (MADE / "kernel").exists() or not (MADE / "initramfs").exists():
        return "run tests/guests/build first: it downloads Debian's kernel, some 70 MB"
    return ""


def tests(run: str, *options: str, become: int = 0) -> str:
    """The line of a guest's script that runs these tests there, as this user, and tells their outcome under a name."""
    environ = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LABPLATFORM_REPORTS": REPORTS,
        "LABPLATFORM_RUN": run,
        "HOME": "/tmp",
        # The machine's own out-of-memory killer may be called here.
        "LABPLATFORM_GUEST": "1",
        # To import them takes longer, on a computed machine, than the tests: these need none of pytest's plugins but
        # those named below, and no fixtures of other folders.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    if _accelerator() == "tcg":
        environ["LABPLATFORM_PATIENCE"] = "10"
    command = ["env", *(f"{name}={value}" for name, value in environ.items()), sys.executable, "-m", "pytest"]
    command += [
        "-q",
        "--rootdir",
        str(ROOT),
        "--noconftest",
        "-p",
        "pytest_timeout",
        "-p",
        "support.reports",
        "-p",
        "no:cacheprovider",
        "-m",
        "long or not long",
    ]
    command += ["-o", "timeout=600", "--basetemp", f"/tmp/labplatform-{run.replace(' ', '-')}", *options]
    if become:
        # Through a shell: what setpriv itself starts is still found with root's eyes.
        command = [*AS_USER, "sh", "-c", 'exec "$@"', "sh", *command]
    return f"cd {shlex.quote(str(ROOT))} && {shlex.join(command)}"


def with_systemd(proofs: str, folder: Path) -> str:
    """A script that hands the guest over to systemd, with nothing of this machine's services, and runs another in it.

    What it would clean up, set up or ask about a machine that has never been booted is left out.
    """
    (folder / "proofs").write_text(f"{proofs}\n{END}\n")
    unit = f"""
[Unit]
Description=proofs
DefaultDependencies=no
Requires=basic.target
Wants=dbus.socket systemd-logind.service
After=basic.target dbus.socket
[Service]
Type=oneshot
ExecStart=/bin/sh {folder / "proofs"}
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
TimeoutStartSec=infinity
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
"""
    (folder / "labplatform-proofs.service").write_text(unit)
    masked = " ".join(f"/etc/systemd/system/{name}" for name in MASKED)
    return f"""
mount -t tmpfs etc /etc/systemd/system
for unit in {masked}; do ln -s /dev/null $unit; done
cp {folder}/labplatform-proofs.service /etc/systemd/system/
echo 'guest:*:{USER}:{USER}::/tmp:/bin/sh' >>/etc/passwd
echo 'guest:x:{USER}:' >>/etc/group
rm -f /etc/fstab
umount /sys/fs/cgroup /dev/pts /run
exec /lib/systemd/systemd --show-status=no --unit=labplatform-proofs.service
"""


def boot(script: str, folder: Path, seconds: float, megabytes: int = 1024) -> Report:
    """Run a script as the first process of a guest until it powers off. Raises `AssertionError` if it does not."""
    file, console, reports = (folder / name for name in ("script", "console", "reports"))
    file.write_text(BEGIN + script)
    reports.touch()
    words = f"console=ttyS0 panic=-1 quiet cgroup_no_v1=all labplatform={file}"
    command = [*_machine(_accelerator()), "-smp", "2", "-m", str(megabytes), "-append", words]
    command += ["-serial", f"file:{console}", "-serial", f"file:{reports}"]
    command += ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
        said = done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        said = f"the guest was still running after {seconds:g} s"
    end = console.read_text(errors="replace")[-6000:] if console.exists() else ""
    lines = []
    for line in reports.read_text(errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            end += f"\nnot understood: {line}"
    return Report(lines, f"{said}\n{end}")


def _machine(accelerator: str) -> list[str]:
    command = [QEMU, "-accel", accelerator, "-cpu", CPU, "-nodefaults", "-display", "none", "-no-reboot"]
    return [*command, "-nic", "none", "-kernel", str(MADE / "kernel"), "-initrd", str(MADE / "initramfs")]


@functools.cache
def _accelerator() -> str:
    """KVM where a kernel comes up with it, else "tcg", which computes the machine.

    There are machines, guests themselves most of them, that have /dev/kvm and where nothing comes up with it.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    words = "console=ttyS0 panic=-1"
    command = [*_machine("kvm"), "-m", "256", "-serial", "stdio", "-append", words]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=KVM_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "tcg"
    # Without a script to go on with, the first process ends, and the kernel with it.
    return "kvm" if b"Attempted to kill init" in done.stdout else "tcg"
