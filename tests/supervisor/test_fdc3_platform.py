"""The desktop agent on a real platform: apps open one another, and hear of one another's ends, across processes.

Apps without a window; what a page does through the same connection is the page agent's own test.
"""

from __future__ import annotations

import json
from pathlib import Path

from support.apps import NO_RESTART, make_app

ASKER = '''
"""Opens, raises and notes the answers, then returns."""

import json
import queue
from pathlib import Path

from labplatform.dacp import Fdc3Error


def main(lab):
    client, heard = lab._client, queue.Queue()
    receive = client.receive
    client.receive = lambda data: (heard.put(json.loads(data)), receive(data))

    def ask(kind, **payload):
        try:
            return client.ask(kind, payload, timeout=60)
        except Fdc3Error as error:
            return error.detail

    def note(name, value):
        notes[name] = value
        file = Path(__file__).with_name("notes.json")
        file.with_suffix(".new").write_text(json.dumps(notes))
        file.with_suffix(".new").replace(file)

    notes = {}
    context = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
    note("info", ask("getInfoRequest"))
    note("unknown", ask("openRequest", app={"appId": "nobody"}))
    note("broken", ask("openRequest", app={"appId": "broken"}))
    note("before", ask("findInstancesRequest", app={"appId": "handler"}))
    note("opened", ask("openRequest", app={"appId": "handler"}, context=context))
    note("raised", ask("raiseIntentRequest", intent="Look", context=context))
    note("after", ask("findInstancesRequest", app={"appId": "handler"}))
    note("elsewhere", ask("raiseIntentRequest", intent="Look", context=context, app={"appId": "handler"}))
    for source in (notes["raised"], notes["elsewhere"]):
        instance = source["intentResolution"]["source"]
        client.post("broadcastRequest", {"channelId": "end", "context": {"type": "end", "id": instance}})
    results = []
    while len(results) < 2:
        message = heard.get(timeout=30)
        if message["type"] == "raiseIntentResultResponse":
            results.append(message["payload"])
    note("results", results)
    note("gone", ask("raiseIntentRequest", intent="Look", context=context, app=instance))
    note("done", True)
'''
HANDLER = '''
"""Handles an intent, and dies when it is told to, owing its result."""

import os


def main(lab):
    client = lab._client
    end = lab.channel("end")

    def told(context, metadata):
        if context["id"]["instanceId"] == lab.instance_id:
            os.abort()

    end.add_context_listener("end", told)
    client.ask("getInfoRequest", {})
    client.listen(None, "fdc3.instrument", lambda context, metadata: None)
    client.ask("addIntentListenerRequest", {"intent": "Look"})
    lab.stopping.wait()
'''


def test_apps_open_one_another_and_hear_of_their_ends(platform, tmp_path: Path):
    interop = {"intents": {"listensFor": {"Look": {"contexts": ["fdc3.instrument"], "displayName": "Look"}}}}
    home = make_app(tmp_path, "asker", page=None, python=ASKER)
    make_app(tmp_path, "handler", page=None, python=HANDLER, interop=interop, restart=NO_RESTART)
    make_app(tmp_path, "broken", page=None, python="raise RuntimeError('no feed')", restart=NO_RESTART)
    lab = platform(tmp_path)
    lab.launch("asker").wait_for("stopped", timeout=90)
    notes = json.loads((home / "notes.json").read_text())
    assert notes.get("done"), notes
    assert notes["info"]["implementationMetadata"]["appMetadata"]["title"] == "Asker"
    assert notes["unknown"] == {"error": "AppNotFound"}
    assert notes["broken"] == {"error": "ErrorOnLaunch"}
    assert notes["before"] == {"appIdentifiers": []}
    opened = notes["opened"]["appIdentifier"]
    assert notes["after"] == {"appIdentifiers": [opened]}
    assert notes["raised"]["intentResolution"] == {"source": opened, "intent": "Look"}
    elsewhere = notes["elsewhere"]["intentResolution"]["source"]
    assert (elsewhere["appId"], elsewhere["instanceId"] != opened["instanceId"]) == ("handler", True)
    assert notes["results"] == [{"error": "IntentHandlerRejected"}] * 2
    assert notes["gone"] == {"error": "TargetInstanceUnavailable"}
    # One that dies within its first moments has not come up, and leaves the platform as well.
    assert {app.state for app in lab.apps if app.app_id == "handler"} <= {"failed"}
    assert not any(app.app_id == "broken" for app in lab.apps), "what did not come up has left"
