"""JSON from files and from elsewhere, into frozen structs. Any process.

What is wrong is a `ManifestError` that names the source, the path inside it, what was expected and what was found. What
the keys mean is left to `manifest` and to those who read other formats into one.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import msgspec.inspect as inspect

from .errors import ManifestError

MAX_FILE = 1 << 20
"""Bytes of the largest manifest that is read; a real one has a few hundred."""

ABSENT = object()
"""Stands for a value that is not there."""
_DEEPEST = 64


class Unexpected(ValueError):
    """A value that has the right type and is wrong all the same; `field` is its key within the part at hand."""

    def __init__(self, expected: str, got: Any, field: str = "") -> None:
        super().__init__(f"{field}{': ' * bool(field)}expected {expected}, got {got!r}")
        self.expected = expected
        self.field = field


# --- errors -----------------------------------------------------------------------------------------------------------


def wrong(source: str, where: str, expected: str, got: Any) -> ManifestError:
    """The error for a value at a path (`$.key[0]`) of a source; `got` is the value, or `ABSENT`."""
    if got is ABSENT:
        shown, got = "nothing", None
    else:
        try:
            shown = json.dumps(got, ensure_ascii=False)
            shown.encode()
        except (TypeError, ValueError, RecursionError):
            # No JSON value, so it could not cross to another process either.
            shown = got = type(got).__name__
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    return ManifestError(
        f"{source}: at {where}: expected {expected}; found {shown}",
        file=source,
        where=where,
        expected=expected,
        got=got,
    )


def unreadable(source: str | Path, problem: str, expected: str) -> ManifestError:
    """The error for a source as a whole."""
    return ManifestError(f"{source}: {problem}", file=str(source), where="$", expected=expected, got=None)


def reason(error: Exception) -> str:
    """What an error says without the path, which an OSError's own text repeats."""
    return getattr(error, "strerror", None) or str(error)


# --- from bytes to JSON -----------------------------------------------------------------------------------------------


def read_file(file: Path, most: int = MAX_FILE) -> bytes:
    """The bytes of a file that may be a manifest. Raises `ManifestError`."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            # Opening a pipe would wait for its other end.
            raise unreadable(file, "is not a file", "a readable JSON file")
        with file.open("rb") as stream:
            text = stream.read(most + 1)
    except FileNotFoundError:
        raise unreadable(
            file, "there is no such file; an app is a folder with an app.json in it", "a readable JSON file"
        ) from None
    except OSError as error:
        raise unreadable(file, f"cannot be read: {error.strerror}", "a readable JSON file") from None
    if len(text) > most:
        raise unreadable(file, f"is larger than {most >> 20} MiB, so it is no manifest", f"at most {most} bytes")
    return text


def decode(text: bytes, source: str | Path) -> Any:
    """JSON in which each key stands once, and no number but a finite one. Raises `ManifestError`."""
    repeated: list[tuple[str, dict[str, Any]]] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                repeated.append((key, found))
            found[key] = value
        return found

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no JSON number")

    try:
        # Some editors on Windows write a byte-order mark; it says nothing about the app.
        data = json.loads(text.decode("utf-8-sig"), object_pairs_hook=collect, parse_constant=refuse)
    except UnicodeDecodeError:
        raise unreadable(source, "is not UTF-8 text", "UTF-8 JSON") from None
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        raise unreadable(source, problem, "JSON") from None
    except RecursionError:
        raise _too_deep(source) from None
    except ValueError as error:
        raise unreadable(source, f"is not JSON: {error}", "JSON") from None
    for key, holder in repeated[:1]:
        try:
            where = next((path for path, value in _walk(data) if value is holder), "$")
        except RecursionError:
            where = "$"
        raise wrong(str(source), f"{where}.{key}", "each key once", holder[key])
    return data


def check_json(data: Any, source: str) -> None:
    """See that decoded JSON could be sent on as JSON, whoever made it. Raises `ManifestError`."""
    try:
        for where, value in _walk(data):
            if expected := _not_json(value):
                raise wrong(source, where, expected, value)
    except RecursionError:
        raise _too_deep(source) from None


def _too_deep(source: str | Path) -> ManifestError:
    return unreadable(source, "is nested too deeply", f"at most {_DEEPEST} levels")


def _walk(data: Any) -> Iterator[tuple[str, Any]]:
    """Every value in decoded JSON with its path; holders before what they hold. Raises `RecursionError` below 64."""
    rest = [("$", data, 0)]
    while rest:
        where, value, depth = rest.pop()
        if depth > _DEEPEST:
            raise RecursionError
        yield where, value
        if isinstance(value, dict):
            rest += [(f"{where}.{key}", item, depth + 1) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            rest += [(f"{where}[{index}]", item, depth + 1) for index, item in enumerate(value)]


def _not_json(value: Any) -> str:
    """What was expected, where a single value could not be sent on as JSON; empty where it can."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "keys that are text"
        return next(filter(None, map(_not_json, value)), "")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "Unicode text (a \\ud800 to \\udfff stands alone)"
    elif isinstance(value, int | float):
        try:
            return "" if math.isfinite(value) else "a finite number"
        except OverflowError:
            return "a number below 1e308"
    elif value is not None and not isinstance(value, list | tuple):
        return "a JSON value"
    return ""


# --- from JSON to structs ---------------------------------------------------------------------------------------------


def unknown_keys(
    data: Any, kind: type[msgspec.Struct], where: str = "$", *, hidden: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """The path of each key that no field reads, in the parts whose structure is ours, and a hint at what was meant.

    `hidden`: fields of the outermost part that no file may set.
    """
    if not isinstance(data, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind) if field.encode_name not in hidden}
    for key, value in data.items():
        path = f"{where}.{key}"
        if key not in fields:
            known = {name.lower(): name for name in fields}
            near = difflib.get_close_matches(key[:80].lower(), known, n=1, cutoff=0.75)
            yield path, f"; did you mean {known[near[0]]}?" if near else ""
            continue
        part = fields[key].type
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            yield from unknown_keys(value, part, path)


def convert(
    data: Any,
    kind: type,
    source: str,
    *,
    dec_hook: Callable[[type, Any], Any] | None = None,
    written: Callable[[str], str] = lambda where: where,
) -> Any:
    """Decoded JSON as a struct of this kind. Raises `ManifestError`.

    `written`: where a path inside `data` stands in the source, should that differ.
    """
    try:
        return msgspec.convert(data, kind, dec_hook=dec_hook)
    except ValueError as error:
        steps, expected = _complaint(error, data, kind, dec_hook)
    raise wrong(source, written(_path(steps)), expected, _at(data, steps))


_ANY = "[...]"
"""How msgspec writes a key that is data and no field's name."""
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_Steps = tuple[str | int, ...]


def _steps(where: str) -> _Steps:
    return tuple(key or any_key or int(index) for key, index, any_key in _STEP.findall(where))


def _path(steps: _Steps) -> str:
    def written(step: str | int) -> str:
        if isinstance(step, int):
            return f"[{step}]"
        return f".{step}" if re.fullmatch(r"\w+", step) else f"[{json.dumps(step, ensure_ascii=False)[:80]}]"

    return "$" + "".join(map(written, steps))


def _at(data: Any, steps: _Steps) -> Any:
    """The value at a path, or `ABSENT`."""
    for step in steps:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return data


def _with(data: Any, steps: _Steps, value: Any) -> Any:
    """The same data with another value at a path."""
    if not steps:
        return value
    changed = data.copy() if isinstance(data, dict) else list(data)
    changed[steps[0]] = _with(data[steps[0]], steps[1:], value)
    return changed


def _named(told: _Steps, data: Any, kind: type, dec_hook: Any) -> _Steps:
    """A path with the keys that are data by their names: each is the one with which alone the complaint stays."""
    steps = told
    for at, step in enumerate(told):
        if step != _ANY:
            continue
        before = steps[:at]
        holder = _at(data, before)
        for key in holder:
            try:
                msgspec.convert(_with(data, before, {key: holder[key]}), kind, dec_hook=dec_hook)
            except ValueError as error:
                if _steps(str(error).rpartition(" - at `")[2])[: at + 1] == told[: at + 1]:
                    steps = (*before, key, *told[at + 1 :])
                    break
    return steps


_shape = functools.cache(inspect.type_info)


def _expected(kind_of_all: type, steps: _Steps) -> str:
    """What the field at this path takes, in words."""
    kind: inspect.Type = _shape(kind_of_all)
    for step in steps:
        if isinstance(kind, inspect.UnionType):
            kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
        if isinstance(kind, inspect.StructType):
            kind = next(field.type for field in kind.fields if field.encode_name == step)
        elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
            kind = kind.item_type
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
    return _in_words(kind)


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(extra_json_schema={"description": words}):
            return str(words)
        case inspect.UnionType(types=types):
            return ", or ".join(
                _in_words(one) for one in sorted(types, key=lambda one: isinstance(one, inspect.NoneType))
            )
        case inspect.LiteralType(values=values):
            return " or ".join(json.dumps(value) for value in values)
        case inspect.IntType() | inspect.FloatType():
            words = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            if kind.ge is not None and kind.le is not None:
                return f"{words} from {kind.ge:,.0f} to {kind.le:,.0f}"
            bounds = {"above": kind.gt, "at least": kind.ge, "below": kind.lt, "at most": kind.le}
            said = [f"{word} {bound:,.0f}" for word, bound in bounds.items() if bound is not None]
            return f"{words} {' and '.join(said)}".rstrip()
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"a list, each item {_in_words(item)}"
        case inspect.CustomType(cls=cls) if words := getattr(cls, "words", ""):
            return words
        case inspect.StrType():
            return "text"
    return "an object"


def _complaint(error: Exception, data: Any, kind: type, dec_hook: Any) -> tuple[_Steps, str]:
    """From msgspec's error: the place, and what belongs there in words."""
    text, _, where = str(error).rpartition(" - at `") if " - at `" in str(error) else (str(error), "", "")
    steps = _steps(where)
    cause = error if isinstance(error, Unexpected) else error.__cause__
    if isinstance(cause, Unexpected):
        steps = _named(steps, data, kind, dec_hook)
        return (*steps, *filter(None, cause.field.split("."))), cause.expected
    if absent := re.fullmatch(r"Object missing required field `(.+)`", text):
        return (*_named(steps, data, kind, dec_hook), absent[1]), _expected(kind, (*steps, absent[1]))
    return _named(steps, data, kind, dec_hook), _expected(kind, steps)
