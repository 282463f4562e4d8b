"""The desktop agent on a real platform: apps open one another, and hear of one another's ends, across processes.

Apps without a window; what a page does through the same connection is the page agent's own test.
"""

from __future__ import annotations

import json
from pathlib import Path
from queue import Queue

from support.apps import NO_RESTART, make_app

from labplatform.supervisor.launching import MOST_OPENED

ASKER = '''
"""Opens, raises and notes the answers, then returns."""

import json
from pathlib import Path

from labplatform.errors import FDC3Error


def main(lab):
    agent, notes = lab.desktop_agent, {}

    def outcome(call, *arguments, **named):
        try:
            return call(*arguments, **named)
        except FDC3Error as error:
            return {"error": error.name}

    def note(name, value):
        notes[name] = value
        file = Path(__file__).with_name("notes.json")
        file.with_suffix(".new").write_text(json.dumps(notes))
        file.with_suffix(".new").replace(file)

    def ids(app):
        return [app.app_id, app.instance_id]

    context = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
    note("title", agent.get_info().app_metadata.title)
    note("unknown", outcome(agent.open, "nobody"))
    note("broken", outcome(agent.open, "broken"))
    note("before", agent.find_instances("handler"))
    note("opened", ids(agent.open("handler", context)))
    here = agent.raise_intent("Look", context)
    note("raised", ids(here.source))
    note("after", [ids(app) for app in agent.find_instances("handler")])
    elsewhere = agent.raise_intent("Look", context, app="handler")
    note("elsewhere", ids(elsewhere.source))
    end = lab.channel("end")
    for resolution in (here, elsewhere):
        end.broadcast({"type": "end", "id": {"instanceId": resolution.source.instance_id}})
    note("results", [outcome(resolution.get_result, timeout=60) for resolution in (here, elsewhere)])
    note("gone", outcome(agent.raise_intent, "Look", context, app=here.source))
    note("done", True)
'''
HANDLER = '''
"""Handles an intent, and dies when it is told to, owing its result."""

import asyncio
import os


def main(lab):
    def told(context, metadata):
        if context["id"]["instanceId"] == lab.instance_id:
            os.abort()

    async def never(context, metadata):
        await asyncio.sleep(600)

    lab.channel("end").add_context_listener("end", told)
    lab.desktop_agent.add_context_listener("fdc3.instrument", lambda context: None)
    lab.desktop_agent.add_intent_listener("Look", never)
    lab.stopping.wait()
'''


def test_apps_open_one_another_and_hear_of_their_ends(platform, tmp_path: Path):
    interop = {"intents": {"listensFor": {"Look": {"contexts": ["fdc3.instrument"], "displayName": "Look"}}}}
    # Without a boundary, for it writes beside itself.
    home = make_app(tmp_path, "asker", page=None, python=ASKER, sandbox={"boundary": False})
    make_app(tmp_path, "handler", page=None, python=HANDLER, interop=interop, restart=NO_RESTART)
    make_app(tmp_path, "broken", page=None, python="raise RuntimeError('no feed')", restart=NO_RESTART)
    lab = platform(tmp_path)
    lab.launch("asker").wait_for("stopped", timeout=90)
    notes = json.loads((home / "notes.json").read_text())
    assert notes.get("done"), notes
    assert notes["title"] == "Asker"
    assert notes["unknown"] == {"error": "AppNotFound"}
    assert notes["broken"] == {"error": "ErrorOnLaunch"}
    assert notes["before"] == []
    assert notes["after"] == [notes["opened"]]
    assert notes["raised"] == notes["opened"]
    assert notes["elsewhere"][0] == "handler"
    assert notes["elsewhere"] != notes["opened"]
    assert notes["results"] == [{"error": "IntentHandlerRejected"}] * 2
    assert notes["gone"] == {"error": "TargetInstanceUnavailable"}
    # One that dies within its first moments has not come up, and leaves the platform as well.
    assert {app.state for app in lab.apps if app.app_id == "handler"} <= {"failed"}
    assert not any(app.app_id == "broken" for app in lab.apps), "what did not come up has left"


GREEDY = '''
"""Opens others without end, and says how many it got."""

from labplatform.errors import FDC3Error


def main(lab):
    agent, got = lab.desktop_agent, 0
    try:
        if lab.app_id == "greedy":
            agent.open("deputy")
        while True:
            agent.open("crumb", timeout=60)
            got += 1
    except FDC3Error as error:
        lab.channel("got").broadcast({"type": lab.app_id, "count": got, "error": error.name})
    lab.stopping.wait()
'''


def test_an_app_that_opens_others_without_end_leaves_room(platform, tmp_path: Path):
    """Itself or through one that it opened; a person may still launch what they like."""
    for name in ("greedy", "deputy"):
        make_app(tmp_path, name, page=None, python=GREEDY)
    make_app(
        tmp_path, "crumb", page=None, python="def main(lab):\n    lab.desktop_agent.get_info()\n    lab.stopping.wait()"
    )
    lab = platform(tmp_path, isolation="shared-process")
    told: Queue = Queue()
    lab.desktop_agent.get_or_create_channel("got").add_context_listener(None, told.put)
    lab.launch("greedy")
    both = [told.get(timeout=120) for _ in range(2)]
    assert {context["type"]: context["error"] for context in both} == dict.fromkeys(
        ("greedy", "deputy"), "ErrorOnLaunch"
    )
    assert 1 + sum(context["count"] for context in both) == MOST_OPENED, "the deputy is one of them"
    refused = [entry for entry in lab.events if "that greedy has opened, itself or through others" in entry.text]
    assert refused and all(entry.level == "warning" for entry in refused)
    assert lab.launch("crumb").state == "running"
    assert lab.desktop_agent.open("crumb").app_id == "crumb", "a notebook is a person's"
