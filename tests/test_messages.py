"""The messages: each survives its wire, the framing survives any split, and what is no message is refused."""

import inspect
import typing

import msgspec
import msgspec.inspect as shapes
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labplatform import messages
from labplatform.manifest import LEAST_HEAP, MOST_HEAP, Manifest, ResourceLimits, Size, parse_manifest
from labplatform.messages import MAX_HOST_FRAME, Reader, SandboxInfo, Unframer, decode, encode, frame

UNIONS = {
    name: typing.get_args(union) or (union,)
    for name, union in (
        (name, getattr(messages, name))
        for name in ("Request", "ToController", "ToHost", "FromHost", "ToPage", "FromPage", "Hello")
    )
}
"""What one end of a wire may receive, by name."""
READERS = {name: Reader(getattr(messages, name)) for name in UNIONS}

STRUCTS = sorted(
    {  # a set, for a union of one message is that message under a second name
        kind
        for _, kind in inspect.getmembers(messages, inspect.isclass)
        if issubclass(kind, msgspec.Struct)
        and kind.__module__.startswith(messages.__name__ + ".")
        and kind is not messages.Message
    },
    key=lambda kind: kind.__name__,
)
MESSAGES = [kind for kind in STRUCTS if issubclass(kind, messages.Message)]

texts = st.text(max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
manifests = st.builds(
    lambda uuid, name, width, memory, interop: parse_manifest(
        {
            "startup_app": {"uuid": uuid, "name": name, "url": "index.html", "defaultWidth": width},
            "resourceLimits": {"maxMemory": memory},
            "interop": interop,
        }
    ),
    st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
    st.text(min_size=1, max_size=20),
    st.integers(100, 10_000),
    st.integers(1, 2**62),
    st.dictionaries(texts, json_values, max_size=3),
)
limits = st.builds(
    ResourceLimits,
    max_memory=st.none() | st.integers(1, 2**62),
    max_cpu=st.none() | st.floats(1e-3, 1e6),
    max_processes=st.none() | st.integers(1, 100_000),
    js_heap=st.none() | st.integers(LEAST_HEAP, MOST_HEAP),
)


def values_of(kind):
    """Any value that a field of this type may hold, so that a new message or field is tested without a word here."""
    match kind:
        case shapes.Metadata(type=inner):
            return values_of(inner)
        case shapes.StructType(cls=cls) if cls is Manifest:
            return manifests
        case shapes.StructType(cls=cls) if cls is ResourceLimits:
            return limits
        case shapes.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values_of(field.type) for field in fields})
        case shapes.UnionType(types=types):
            return st.one_of(*map(values_of, types))
        case shapes.LiteralType(values=values):
            return st.sampled_from(values)
        case shapes.StrType(min_length=least, max_length=most, pattern=None):
            return st.text(min_size=least or 0, max_size=min(most or 20, 20))
        case shapes.StrType(pattern=pattern):
            return st.from_regex(pattern)
        case shapes.IntType(ge=ge, gt=gt, le=le, lt=lt):
            least = ge if ge is not None else gt + 1 if gt is not None else -(2**63)
            most = le if le is not None else lt - 1 if lt is not None else 2**63 - 1
            return st.integers(least, most)
        case shapes.FloatType(ge=ge, gt=gt, le=le, lt=lt):
            least, most = gt if ge is None else ge, lt if le is None else le
            return st.floats(
                least,
                most,
                exclude_min=gt is not None,
                exclude_max=lt is not None,
                allow_nan=False,
                allow_infinity=False,
            )
        case shapes.BoolType():
            return st.booleans()
        case shapes.NoneType():
            return st.none()
        case shapes.BytesType():
            return st.binary(max_size=50)
        case shapes.RawType():
            return json_values.map(lambda value: msgspec.Raw(encode(value)))
        case shapes.AnyType():
            return json_values
        case shapes.DictType(key_type=key, value_type=value):
            return st.dictionaries(values_of(key), values_of(value), max_size=3)
        case shapes.VarTupleType(item_type=item):
            return st.lists(values_of(item), max_size=3).map(tuple)
        case shapes.TupleType(item_types=items):
            return st.tuples(*map(values_of, items))
        case shapes.CustomType(cls=cls) if cls is Size:
            return st.integers(1, 2**62).map(Size)
    raise AssertionError(f"a message has a field of a kind that no test knows: {kind}")


def samples(kind):
    return values_of(shapes.type_info(kind))


def same(one, other):
    """Equal, where `Raw` counts by its bytes, and a struct by its fields though it may have no equality of its own."""
    if isinstance(one, msgspec.Raw) and isinstance(other, msgspec.Raw):
        return bytes(one) == bytes(other)
    if isinstance(one, msgspec.Struct):
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__
        )
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


# --- every message ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip(kind, data):
    value = data.draw(samples(kind))
    assert same(decode(encode(value), kind), value)
    for name, members in UNIONS.items():
        if kind in members:
            assert same(READERS[name](encode(value)), value)


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_frozen_and_explained(kind):
    assert kind.__struct_config__.frozen
    assert kind.__doc__
    # A struct without words of its own inherits its base's.
    assert kind.__doc__ != messages.Message.__doc__


def test_every_message_belongs_to_a_conversation():
    spoken = {kind for members in UNIONS.values() for kind in members}
    assert set(MESSAGES) == spoken


@pytest.mark.parametrize("name", UNIONS)
def test_tags_are_unique_within_a_conversation(name):
    tags = [kind.__struct_config__.tag for kind in UNIONS[name]]
    assert len(set(tags)) == len(tags)
    assert all(kind.__struct_config__.tag_field == "type" for kind in UNIONS[name])


def test_tags_are_unique_among_all_messages():
    tags = [kind.__struct_config__.tag for kind in MESSAGES]
    assert len(set(tags)) == len(tags)


# --- what is no message -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNIONS)
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"launch"',
        b"{}",
        b'{"type": "no-such"}',
        b'{"type": 5}',
        b'{"type": null}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_a_decode_error(name, text):
    with pytest.raises(msgspec.DecodeError):
        READERS[name](text)


@given(st.sampled_from(sorted(UNIONS)), st.binary(max_size=60) | json_values.map(encode))
def test_garbage_is_a_decode_error_or_a_message(name, text):
    try:
        found = READERS[name](text)
    except msgspec.DecodeError:
        return
    assert type(found) in UNIONS[name]


def test_a_message_of_another_conversation_is_refused():
    for name, members in UNIONS.items():
        for kind in set(MESSAGES) - set(members):
            with pytest.raises(msgspec.DecodeError):
                READERS[name](encode({"type": kind.__struct_config__.tag}))


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "launch"}',
        '{"type": "launch", "id": "1"}',
        '{"type": "launch", "id": 1, "timeout": 0}',
        '{"type": "launch", "id": 1, "timeout": 1e9}',
        '{"type": "launch", "id": 1, "manifest": {}}',
        '{"type": "launch", "id": 1, "manifest": {"startup_app": {"uuid": "a", "name": "A", "url": "../x"}}}',
        '{"type": "crash", "id": 1, "place": "a", "how": "gently"}',
        '{"type": "watch", "id": 1, "place": "a", "rate": 1000}',
    ],
)
def test_wrong_values_are_refused(text):
    with pytest.raises(msgspec.DecodeError):
        Reader(messages.Request)(text)


def test_an_unknown_field_is_passed_over():
    # A newer end may say more than an older one knows.
    assert Reader(messages.Request)(b'{"type": "describe", "id": 1, "more": 2}') == messages.Describe(id=1)


def test_what_has_no_json_form_is_an_error():
    with pytest.raises(NotImplementedError, match="set has no JSON form"):
        encode([type("set", (), {})()])


# --- frames -----------------------------------------------------------------------------------------------------------

from_host = st.one_of(*map(samples, UNIONS["FromHost"]))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(from_host, max_size=5), st.data())
def test_frames_survive_any_split(sent, data):
    stream = b"".join(map(frame, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    unframer = Unframer(Reader(messages.FromHost))
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += unframer.feed(stream[start:end])
    assert len(got) == len(sent)
    assert all(map(same, got, sent))
    assert unframer.feed(b"") == []


def test_one_byte_at_a_time():
    message = messages.HostPing(seq=7, pages=("a", "b"))
    unframer = Unframer(Reader(messages.ToHost))
    parts = [unframer.feed(bytes([byte])) for byte in frame(message)]
    assert parts[-1] == [message]
    assert not any(parts[:-1])


def test_a_frame_over_the_limit_is_refused_by_its_length_alone():
    unframer = Unframer(Reader(messages.ToHost))
    assert unframer.feed(MAX_HOST_FRAME.to_bytes(4, "big")) == []
    with pytest.raises(ValueError, match="over the limit"):
        Unframer(Reader(messages.ToHost)).feed((MAX_HOST_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="over the limit"):
        Unframer(Reader(messages.ToHost)).feed(b"\xff\xff\xff\xff")


def test_a_message_over_the_limit_is_not_sent():
    with pytest.raises(ValueError, match="over the limit"):
        frame(messages.ServiceFailed(place="a", incarnation=1, traceback="x" * MAX_HOST_FRAME))


@given(st.binary(max_size=100))
def test_garbage_in_a_frame_is_a_value_error(garbage):
    try:
        got = Unframer(Reader(messages.ToHost)).feed(len(garbage).to_bytes(4, "big") + garbage)
    except ValueError:
        return
    assert got and type(got[0]) in UNIONS["ToHost"]


# --- the sandbox, in words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "words", "holds"),
    [
        (SandboxInfo(), "not known", False),
        (SandboxInfo(why="this system has no /proc"), "not known: this system has no /proc", False),
        (SandboxInfo(seccomp=False, pid_namespace=False), "off", False),
        (SandboxInfo(seccomp=True, pid_namespace=None), "seccomp filter", False),
        (SandboxInfo(seccomp=True, pid_namespace=True), "seccomp filter, own PID namespace", True),
    ],
)
def test_the_sandbox_in_words(info, words, holds):
    assert str(info) == words
    assert info.holds is holds
