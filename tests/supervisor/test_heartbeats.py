"""FDC3's heartbeats on a real platform: a stuck handler is noticed and named, and so is its return."""

from __future__ import annotations

import threading

from support.apps import make_app
from support.processes import until

from labplatform import Heartbeat
from labplatform import messages as m
from labplatform.connection import Line

STUCK = """
import threading
from pathlib import Path

def main(lab):
    go = Path(__file__).with_name("go")

    def handler(context):
        while not go.exists() and not lab.stopping.wait(0.05):
            pass

    lab.channel("own").add_context_listener("stick", handler)
    lab.stopping.wait()
"""
BEAT = Heartbeat(handlers_interval=0.2, silent_after=2, ended_after=20)
SILENT, AGAIN = "its message handlers have answered nothing for", "its message handlers answer again"


def test_a_stuck_handler_is_noticed_and_nobody_is_ended(platform, tmp_path):
    home = make_app(tmp_path, "side", page=None, python=STUCK)
    lab = platform(tmp_path, heartbeat=BEAT)
    side = lab.launch("side")
    agent = lab.desktop_agent
    channel = agent.get_or_create_channel("own")
    go, begun = threading.Event(), threading.Event()
    channel.add_context_listener("stick here", lambda context: (begun.set(), go.wait(30)))

    def lines(text):
        return [(entry.place, entry.text) for entry in lab.events if text in entry.text]

    channel.broadcast({"type": "stick"})
    [(place, _)] = until(lambda: lines(SILENT), 20, "the app's stuck handler in the log")
    assert place == "side"
    assert side.state == "running"
    (home / "go").touch()
    until(lambda: lines(AGAIN), 20, "its return")

    # The notebook's own, which another notebook brings about.
    door = m.decode(lab.connection_file.read_bytes(), m.ConnectionFile)
    line = Line(door.port, m.Hello(role="notebook", token=door.token))
    meta = {"requestUuid": "r", "timestamp": "2025-01-01T00:00:00Z"}
    say = {"channelId": "own", "context": {"type": "stick here"}}
    line.send(m.encode({"type": "broadcastRequest", "meta": meta, "payload": say}))
    assert begun.wait(10)
    until(lambda: len(lines(SILENT)) == 2, 20, "the notebook's stuck handler in the log")
    place, text = lines(SILENT)[1]
    assert place is None
    assert not text.startswith("its")
    go.set()
    until(lambda: len(lines(AGAIN)) == 2, 20, "its return")
    line.close()
