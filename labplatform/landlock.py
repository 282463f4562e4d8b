"""Landlock: a process gives up, for itself and all that it will start, what it does not need. Any process.

The boundary of machines that allow no namespaces (containers), for it asks for no privilege. Who is confined reads and
writes only where it was told, cannot trace or read a process outside its own tree, nor (from Linux 6.12 on) signal
one. https://docs.kernel.org/userspace-api/landlock.html has the numbers.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from .messages import Confinement

SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 444, 445, 446
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522
VERSION_FLAG = 1
RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
SCOPE_SIGNAL = 1 << 1

FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR
TCP = 0b11
"""To bind a port and to connect to one; without a rule, to none."""
ABI_OF_TCP, ABI_OF_SIGNALS = 4, 6
"""From which version on there are these rights and scopes."""


def version() -> int:
    """Landlock's version on this machine; 0 where there is none, or where a container's filter forbids it."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _libc().syscall(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG)))


def confine(order: Confinement) -> None:
    """Confine this thread and all that it will start, for good; call it while it is alone. Raises `OSError`."""
    abi = version()
    everything = READ | WRITE_FILE | MAKE_AND_REMOVE
    if abi >= 2:
        everything |= REFER
    if abi >= 3:
        everything |= TRUNCATE
    if abi >= 5:
        everything |= IOCTL_DEV
    # struct landlock_ruleset_attr: file rights, network rights, scopes; a kernel that knows less wants fewer.
    scoped = SCOPE_SIGNAL if abi >= ABI_OF_SIGNALS else 0
    tcp = TCP if abi >= ABI_OF_TCP and not order.network else 0
    attributes = struct.pack("=QQQ", everything, tcp, scoped)[: 24 if scoped else 16 if abi >= ABI_OF_TCP else 8]
    libc = _libc()
    ruleset = libc.syscall(SYS_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        _fail("landlock_create_ruleset")
    try:
        for path in order.readable:
            _allow(libc, ruleset, path, READ & everything)
        for path in order.writable:
            _allow(libc, ruleset, path, everything)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            _fail("no_new_privs")
        # Root could look into other processes by its capabilities alone, past Landlock.
        header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
        if libc.capset(header, b"\0" * 24):
            _fail("capset")
        if libc.syscall(SYS_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)):
            _fail("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # What is not there need not be allowed.
        return
    try:
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS
        # struct landlock_path_beneath_attr is packed: rights, then the descriptor.
        rule = struct.pack("=Qi", rights, place)
        if libc.syscall(SYS_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)):
            _fail(f"landlock_add_rule for {path}")
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _fail(what: str) -> None:
    error = ctypes.get_errno()
    raise OSError(error, f"{what}: {os.strerror(error)}")
