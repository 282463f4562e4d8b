"""A service that leaves its tree: a grandchild in a session of its own, its parent gone. Its pid goes to a channel."""

import os
import subprocess
import sys

LEAVE = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)
print(child.pid, flush=True)
"""


def main(lab):
    pid = int(subprocess.run([sys.executable, "-c", LEAVE], capture_output=True, check=True, text=True).stdout)
    assert os.getsid(pid) == pid
    lab.channel("pids").broadcast({"type": "test.pid", "pid": pid})
    lab.stopping.wait()
