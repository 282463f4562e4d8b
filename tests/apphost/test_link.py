"""The host's line to its supervisor: frames leave whole and in order, from any thread, however slowly it is read."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from labplatform import messages as m

SENDER = """
import socket, sys, threading, time
from labplatform import messages as m
from labplatform.apphost.link import Link

link = Link(socket.socket(fileno=int(sys.argv[1])))
for n in range(3):
    link.send(m.Remark(text=f"early {n}"))
link.start()

for n in range(0, 40, 2):
    # The first is larger than what the socket takes at once; the second comes while it is being written.
    link.send(m.Remark(text=f"alone {n} " + "x" * 400_000))
    time.sleep(0.003 * (n % 10))
    link.send(m.Remark(text=f"alone {n + 1}"))
    link.flush(30)

def say(name):
    for n in range(300):
        assert link.send(m.Remark(text=f"{name} {n} " + "x" * 1000))

threads = [threading.Thread(target=say, args=(name,)) for name in "abc"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
link.send(m.Remark(text="last 0"))
link.flush(30)
"""


def test_frames_arrive_whole_and_in_order():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-P", "-c", SENDER, str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=(theirs.fileno(),)) as process:
            theirs.close()
            unframer = m.Unframer(m.Reader(m.FromHost))
            heard: list[str] = []
            ours.settimeout(60)
            while data := ours.recv(1 << 13):
                # So that what is sent finds the socket full, and then not.
                time.sleep(0.001)
                heard += [message.text for message in unframer.feed(data)]
            assert process.wait(10) == 0
    found: dict[str, list[int]] = {}
    for text in heard:
        name, number, *_ = text.split()
        found.setdefault(name, []).append(int(number))
    assert heard[:3] == ["early 0", "early 1", "early 2"]
    counts = {"early": 3, "alone": 40, "a": 300, "b": 300, "c": 300, "last": 1}
    assert found == {name: list(range(count)) for name, count in counts.items()}
