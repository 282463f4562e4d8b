"""Messages to a desktop agent with something wrong in each."""

from __future__ import annotations

import json
import random

from labplatform.dacp import now

NOTE = {"type": "note"}
RIGHT = {
    "broadcastRequest": {"channelId": "fdc3.channel.1", "context": NOTE},
    "addContextListenerRequest": {"channelId": "fdc3.channel.1", "contextType": "note"},
    "joinUserChannelRequest": {"channelId": "fdc3.channel.2"},
    "raiseIntentRequest": {"intent": "Look", "context": NOTE, "app": {"appId": "two", "instanceId": "two"}},
    "raiseIntentForContextRequest": {"context": NOTE, "app": {"appId": "list"}},
    "findIntentRequest": {"intent": "Look", "context": NOTE, "resultType": "channel"},
    "openRequest": {"app": {"appId": "list"}, "context": NOTE},
    "intentResultRequest": {"intentEventUuid": "e", "raiseIntentRequestUuid": "r", "intentResult": {"context": NOTE}},
    "privateChannelAddEventListenerRequest": {"privateChannelId": "x", "listenerType": "disconnect"},
    "getInfoRequest": {},
}
JUNK = (None, True, 0, -1, 1e300, "", "note", [], {}, [[]], {"type": "note"}, {"type": None}, "x" * 1000)


def text_of(kind: str, payload: object, **meta: object) -> str:
    """A message as JSON; `meta` beside, or in place of, the usual."""
    meta = {"requestUuid": "r", "timestamp": now(), **meta}
    return json.dumps({"type": kind, "meta": meta, "payload": payload})


def spoiled(draw: random.Random, number: int) -> bytes:
    """A right message with one to three things wrong: a part missing, replaced or added, or bytes that are no JSON."""
    kind = draw.choice(list(RIGHT))
    message: dict = json.loads(text_of(kind, RIGHT[kind], requestUuid=f"request-{number}"))
    for _ in range(draw.randint(1, 3)):
        holder: dict = message
        while inner := [value for value in holder.values() if isinstance(value, dict) and value]:
            if draw.random() < 0.3:
                break
            holder = draw.choice(inner)
        if not holder:
            break
        key = draw.choice(list(holder))
        if draw.random() < 0.3:
            del holder[key]
        else:
            holder[draw.choice([key, key, "source", "more"])] = draw.choice(JUNK)
    data = bytearray(json.dumps(message).encode())
    if draw.random() < 0.3:
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
    if draw.random() < 0.1:
        del data[draw.randrange(len(data)) :]
    return bytes(data)
