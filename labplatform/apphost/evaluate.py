"""JavaScript for `evaluate_js`: run code in a page, wait for its promise, bring back JSON. Pure; runs in the app host.

The code runs by indirect `eval`, so statements work and the last one's value counts. A page whose content security
policy forbids `eval` gets the code as one expression instead.
"""

from __future__ import annotations

import json
from typing import Any

_RUN = """
((code, key) => {
  const failure = (e) => JSON.stringify({error: {
    name: String((e && e.name) || "Error"),
    message: String(e && e.message !== undefined ? e.message : e),
    stack: String((e && e.stack) || "")}});
  const success = (v) => {
    const text = JSON.stringify(v === undefined ? null : v);
    if (text === undefined) throw new TypeError("a " + typeof v + " has no JSON form");
    return '{"value":' + text + '}';
  };
  const settle = (v) => {
    if (v === null || (typeof v !== "object" && typeof v !== "function") || typeof v.then !== "function")
      return success(v);
    const slot = {text: ""};
    Object.defineProperty(globalThis, key, {value: slot, configurable: true, enumerable: false});
    Promise.resolve(v).then((r) => { slot.text = success(r); })
      .catch((e) => { slot.text = failure(e); });
    return '{"pending":true}';
  };
  try { return settle(%s); }
  catch (e) { return e instanceof EvalError ? '{"blocked":true}' : failure(e); }
})(%s, %s)
"""


def first_try(code: str, key: str) -> str:
    """JavaScript that evaluates `code` and returns its outcome as JSON text; a promise is kept under `key`."""
    return _RUN % ("(0, eval)(code)", json.dumps(code), json.dumps(key))


def as_expression(code: str, key: str) -> str:
    """The same for a page that forbids `eval`: `code` must be one expression."""
    return _RUN % (f"(\n{code}\n)", '""', json.dumps(key))


def collect(key: str) -> str:
    """JavaScript that returns the outcome kept under `key` once it is there, and forgets it; "" while it is not."""
    quoted = json.dumps(key)
    return (
        f"(() => {{ const s = globalThis[{quoted}]; if (!s) return '{{\"lost\":true}}';"
        f" if (s.text) delete globalThis[{quoted}]; return s.text; }})()"
    )


def outcome(text: Any) -> dict[str, Any]:
    """The outcome as a dict with one of the keys `value`, `error`, `pending`, `blocked`, `lost`, `nothing`."""
    if not isinstance(text, str) or not text:
        return {"nothing": True}
    return json.loads(text)
