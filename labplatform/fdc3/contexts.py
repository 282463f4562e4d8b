"""What is wrong with a context, before it is sent: what every context needs, and what FDC3's own types need. Pure.

The fields are those that the JSON schemas of FDC3 2.2 require (https://fdc3.finos.org/docs/2.2/context/spec). A type
that is not FDC3's is its users' own business.
"""

from __future__ import annotations

from typing import Any

_KINDS: dict[type, str] = {str: "text", dict: "an object", list: "a list", float: "a number"}

NEEDS: dict[str, dict[str, type]] = {
    "fdc3.action": {"title": str, "context": dict},
    "fdc3.chart": {"instruments": list},
    "fdc3.chat.message": {"chatRoom": dict, "message": dict},
    "fdc3.chat.room": {"providerName": str, "id": dict},
    "fdc3.chat.searchCriteria": {"criteria": list},
    "fdc3.contact": {"id": dict},
    "fdc3.contactList": {"contacts": list},
    "fdc3.country": {"id": dict},
    "fdc3.currency": {"id": dict},
    "fdc3.email": {"recipients": dict},
    "fdc3.fileAttachment": {"data": dict},
    "fdc3.instrument": {"id": dict},
    "fdc3.instrumentList": {"instruments": list},
    "fdc3.interaction": {"participants": dict, "timeRange": dict, "interactionType": str, "description": str},
    "fdc3.order": {"id": dict},
    "fdc3.orderList": {"orders": list},
    "fdc3.organization": {"id": dict},
    "fdc3.portfolio": {"positions": list},
    "fdc3.position": {"instrument": dict, "holding": float},
    "fdc3.product": {"id": dict},
    "fdc3.trade": {"id": dict, "product": dict},
    "fdc3.tradeList": {"trades": list},
    "fdc3.transactionResult": {"status": str},
    "fdc3.valuation": {"value": float, "CURRENCY_ISOCODE": str},
}
"""What each of FDC3's own types must have, and of which kind it is."""


def problems(context: Any) -> list[str]:
    """What keeps this from being a context that others understand, a clause each; none if nothing does."""
    if not isinstance(context, dict):
        return ["a context is an object: { … }"]
    kind = context.get("type")
    if not isinstance(kind, str) or not kind:
        return ['it needs a "type", such as "fdc3.instrument"']
    found = []
    if not isinstance(context.get("name", ""), str):
        found.append('"name" is text')
    if not isinstance(context.get("id", {}), dict):
        found.append('"id" is an object, such as { "ticker": "AAPL" }')
    for field, wanted in NEEDS.get(kind, {}).items():
        if field not in context:
            found.append(f'{kind} needs "{field}", {_KINDS[wanted]}')
        elif field != "id" and not _is(context[field], wanted):
            found.append(f'"{field}" of {kind} is {_KINDS[wanted]}')
    if kind == "fdc3.timeRange" and not {"startTime", "endTime"} & set(context):
        found.append('fdc3.timeRange needs "startTime", "endTime" or both')
    return found


def _is(value: Any, wanted: type) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, wanted)
