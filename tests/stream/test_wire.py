"""The wire format: golden bytes, round trips, and hostile input."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from photonstream.stream.wire import (
    KINDS,
    MOST_HEADER_BYTES,
    PROTOCOL,
    Answer,
    ChunkSent,
    Close,
    Command,
    Error,
    GapSent,
    Hello,
    Need,
    Numbered,
    Open,
    ResultSent,
    WireError,
    chunk_as_received,
    decode,
    encode,
    result_as_received,
    sealed,
    sealed_in_one,
    unsealed,
)

CHUNK = ChunkSent(
    1, 2, 3, 10, 20, 2, {"macrotime": np.array([10, 19], np.uint64), "channel": np.array([0, 1], np.uint8)}
)
MESSAGES = [
    Hello(1, "decay"),
    Open(
        "run",
        0,
        "decode",
        "lossless",
        {"mode": "T3", "unit_s": 2e-7},
        {"bin_ticks": 50000},
        {"numpy": "2.0"},
        3,
        {"states": {"on": [1e3, 5e4]}, "decode": {}},
    ),
    CHUNK,
    GapSent(0, 4, 100, 200, "FIFO overrun"),
    ResultSent(
        0, 1, "decay", "rows", True, {"counts": np.arange(6).reshape(2, 3), "note": None, "x": [1.5, "a"]}
    ),
    Need(0, 17, 33),
    Close(0, 9, "end of the recording", 4),
    Error("not understood"),
    Command(3, "set", {"node": "states", "name": "on", "value": [1.5, 20.0]}),
    Command(4, "note", {"text": "laser blocked"}, "ctl", "5f0e"),
    Answer(3, False, "no"),
]


def flat(frames):
    return [bytes(frame) for frame in frames]


def same(a, b):
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
        )
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def test_every_kind_has_an_example():
    assert {m.kind for m in MESSAGES} == set(KINDS)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.kind)
def test_a_message_comes_back_as_it_was(message):
    back = decode(flat(encode(message)))
    assert type(back) is type(message)
    assert same(vars(message), vars(back))


VALUES = {
    "small": np.arange(6).reshape(2, 3)[:, ::2],
    "large": np.zeros(20_000),
    "swapped": np.arange(3, dtype=">i4"),
    "of numpy": [np.float64(1.5), np.bool_(True), (1, None)],
    "within": {"text": "a", "flag": False},
}


def test_between_threads_a_message_is_what_its_bytes_would_be():
    result = ResultSent(0, 1, "decay", "rows", True, VALUES, 5)
    assert same(vars(result_as_received(result)), vars(decode(flat(encode(result)))))
    assert same(vars(chunk_as_received(CHUNK)), vars(decode(flat(encode(CHUNK)))))
    for wrong in ({"a": object()}, {"a": np.array(["text"])}, {1: 2}):
        with pytest.raises(WireError):
            result_as_received(ResultSent(0, 1, "decay", "rows", True, wrong))


def test_between_threads_nobody_writes_what_another_one_reads():
    given = {"small": np.zeros(9), "large": np.zeros(20_000)}
    came = result_as_received(ResultSent(0, 1, "decay", "rows", True, given)).value
    given["small"][:] = 1.0
    assert not came["small"].any()
    assert np.shares_memory(came["large"], given["large"])
    assert not any(array.flags.writeable for array in came.values())
    assert given["large"].flags.writeable


@pytest.mark.parametrize("number", [0, 127, 128, 1 << 40])
def test_a_result_that_is_packed_once_has_any_number(number):
    result = ResultSent(0, number, "decay", "rows", True, VALUES)
    assert same(vars(decode(flat(Numbered(result).frames(number)))), vars(result_as_received(result)))


def test_golden_bytes():
    """The protocol as bytes: what changes here changes PROTOCOL. 0xd7 01 is an array, described in 8 bytes."""
    header = (
        b"\x89\xa1v\x01\xa4kind\xa5CHUNK\xa5epoch\x01\xa6number\x02\xa8sequence\x03\xa5start\x0a\xa4stop\x14"
        b"\xa6events\x02\xa7columns\x82"
        b"\xa9macrotime\xd7\x01\x93\x01\xa3<u8\x91\x02"
        b"\xa7channel\xd7\x01\x93\x02\xa3|u1\x91\x02"
    )
    assert flat(encode(CHUNK)) == [header, np.array([10, 19], "<u8").tobytes(), b"\x00\x01"]


def test_golden_bytes_of_a_command_and_its_answer():
    command = (
        b"\x85\xa1v\x01\xa4kind\xa7COMMAND\xa6number\x02\xa4name\xa4seek"
        b"\xa6values\x81\xa6time_s\xcb\x40\x29\x00\x00\x00\x00\x00\x00"
    )
    answer = b"\x85\xa1v\x01\xa4kind\xa6ANSWER\xa6number\x02\xa2ok\xc3\xa4text\xa0"
    assert flat(encode(Command(2, "seek", {"time_s": 12.5}))) == [command]
    assert flat(encode(Answer(2, True, ""))) == [answer]
    assert decode([command]) == Command(2, "seek", {"time_s": 12.5})
    assert decode([answer]) == Answer(2, True, "")


def test_golden_bytes_of_an_opening_and_a_close():
    opening = (
        b"\x8b\xa1v\x01\xa4kind\xa4OPEN\xa3run\xa1r\xa5epoch\x02\xa6writer\xa3run\xa6policy\xa6latest"
        b"\xa4info\x80\xa5facts\x81\xa7control\xa3c:1\xa8versions\x80\xa4mark\x05\xaaparameters\x81\xa6states\x80"
    )
    message = Open("r", 2, "run", "latest", {}, {"control": "c:1"}, {}, 5, {"states": {}})
    assert flat(encode(message)) == [opening]
    close = b"\x86\xa1v\x01\xa4kind\xa5CLOSE\xa5epoch\x02\xa6number\x07\xa6reason\xa3end\xa7version\x09"
    assert flat(encode(Close(2, 7, "end", 9))) == [close]


def test_text_that_is_no_text_travels_as_the_bytes_that_it_is():
    """The name of a file on this system may be any bytes; Python writes those that are no UTF-8 as lone surrogates."""
    path = b"/data/caf\xe9.ptu"
    message = Error(path.decode(errors="surrogateescape"))
    (header,) = flat(encode(message))
    assert path in header
    assert decode([header]) == message


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_come_back_as_text(raw):
    text = raw.decode(errors="surrogateescape")
    assert decode(flat(encode(Answer(0, True, text)))).text == text


def test_a_text_that_has_no_bytes_cannot_be_sent():
    with pytest.raises(WireError, match="surrogates"):
        encode(Error("\ud800"))


def test_a_header_that_is_too_long_cannot_be_sent():
    with pytest.raises(WireError, match="cannot be sent"):
        encode(Error("x" * MOST_HEADER_BYTES))
    encode(Error("x" * (MOST_HEADER_BYTES - 100)))


def test_arrays_are_sent_and_received_without_a_copy():
    column = np.arange(1000, dtype=np.uint64)
    frames = encode(ChunkSent(0, 0, 0, 0, 1000, 1000, {"macrotime": column}))
    assert np.shares_memory(np.frombuffer(frames[1], np.uint64), column)
    back = decode(frames)
    assert np.shares_memory(back.columns["macrotime"], column)
    with pytest.raises(ValueError, match="read-only"):
        back.columns["macrotime"][0] = 1


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8", "b1"]).flatmap(
            lambda dtype: st_numpy.arrays(
                dtype,
                st_numpy.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
                elements={"allow_nan": False} if dtype[0] == "f" else None,
            )
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(value=st.dictionaries(st.text(max_size=8), plain, max_size=5))
def test_any_plain_value_comes_back(value):
    message = ResultSent(0, 0, "node", "key", False, value)
    assert same(value, decode(flat(encode(message))).value)


def header_of(message):
    return msgpack.unpackb(encode(message)[0], strict_map_key=True)


def with_header(message, **changes):
    header = {**header_of(message), **changes}
    return [msgpack.packb({k: v for k, v in header.items() if v is not ...})]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "too few"),
        ([b""], "not msgpack"),
        ([b"\xc1"], "not msgpack"),
        ([msgpack.packb([1, 2])], "not a map"),
        ([b"\x93" * 5000], "not msgpack"),
        (with_header(Need(0, 1, 2), v=99), "protocol 99"),
        (with_header(Need(0, 1, 2), kind="EXECUTE"), "unknown kind 'EXECUTE'"),
        (with_header(Need(0, 1, 2), kind=["NEED"]), "unknown kind"),
        (with_header(Need(0, 1, 2), next=...), "without next"),
        (with_header(Need(0, 1, 2), next="7"), "next is str"),
        (with_header(Need(0, 1, 2), next=True), "next is bool"),
        (with_header(Need(0, 1, 2), next=-1), "negative"),
        (with_header(MESSAGES[1], versions={"numpy": 2}), "wrong type"),
        (with_header(MESSAGES[1], parameters={"states": 3}), "wrong type"),
        (with_header(MESSAGES[1], parameters=[]), "parameters is list"),
        (with_header(MESSAGES[1], parameters=...), "without parameters"),
        (with_header(Close(0, 1, "end"), version=...), "without version"),
        (with_header(Close(0, 1, "end"), version=-1), "negative"),
        (with_header(Command(1, "stop", {}), values=[]), "values is list"),
        (with_header(Command(1, "stop", {}), number=-1), "negative"),
        (with_header(Command(1, "stop", {}), name=7), "name is int"),
        (with_header(Command(1, "set", {}), values={"value": {b"key": 1}}), "keys on the wire are texts"),
        (with_header(Answer(1, True, ""), ok=1), "ok is int"),
        (with_header(Answer(1, True, ""), text=None), "text is NoneType"),
        (with_header(Need(0, 1, 2), kind="STATUS"), "unknown kind 'STATUS'"),
        ([encode(Need(0, 1, 2))[0], b"stray"], "1 arrays came, 0 are named"),
        ([encode(CHUNK)[0], encode(CHUNK)[1]], "no frame 2"),
        ([encode(CHUNK)[0], b"\0" * 15, encode(CHUNK)[2]], "came with 15"),
        ([b"x" * ((1 << 20) + 1)], "too long"),
        ([b"\x80"] * 300, "too many"),
        ([msgpack.packb({"v": 1, "kind": "ERROR", "text": msgpack.ExtType(5, b"")})], "unknown extension"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(frames, words):
    with pytest.raises(WireError, match=words):
        decode(frames)


@pytest.mark.parametrize(
    "description",
    [[1, "O", [2]], [1, "<u8", [-2]], [1, "<u8", "2"], [9, "<u8", [2]], [1, "<u8", [1] * 9], [1], 7],
)
def test_an_array_of_a_forbidden_kind_is_refused(description):
    header = header_of(GapSent(0, 0, 0, 1, "x")) | {"kind": "RESULT", "node": "a", "key": "b", "final": True}
    header["value"] = {"x": msgpack.ExtType(1, msgpack.packb(description))}
    with pytest.raises(WireError):
        decode([msgpack.packb(header), np.arange(2, dtype=np.uint64).tobytes()])


def test_unknown_fields_are_ignored():
    assert decode(with_header(Need(0, 1, 2), colour="green")) == Need(0, 1, 2)


@pytest.mark.parametrize(
    "value",
    [{"x": object()}, {1: 2}, {"x": np.array(["text"])}, {"x": np.array([1], object)}, {"x": 1 << 70}],
)
def test_what_cannot_be_sent_is_said_at_once(value):
    with pytest.raises(WireError):
        encode(ResultSent(0, 0, "n", "k", False, value))


@settings(max_examples=400)
@given(data=st.data())
def test_mutated_messages_never_raise_anything_but_wire_errors(data):
    frames = [bytearray(frame) for frame in flat(encode(data.draw(st.sampled_from(MESSAGES))))]
    for _ in range(data.draw(st.integers(1, 6))):
        frame = data.draw(st.sampled_from(frames)) if frames else bytearray()
        action = data.draw(st.sampled_from(["flip", "cut", "insert", "drop", "double"]))
        if action == "flip" and frame:
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
        elif action == "cut" and frame:
            del frame[data.draw(st.integers(0, len(frame) - 1)) :]
        elif action == "insert":
            at = data.draw(st.integers(0, len(frame)))
            frame[at:at] = data.draw(st.binary(max_size=20))
        elif action == "drop" and len(frames) > 1:
            frames.pop()
        elif action == "double" and frames:
            frames.append(bytearray(frames[-1]))
    try:
        message = decode(frames)
    except WireError:
        return
    assert type(message) in KINDS.values()


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_noise_is_refused(frames):
    try:
        decode(frames)
    except WireError:
        return
    # Noise that happens to be a message has said so with its version and kind.
    assert msgpack.unpackb(frames[0])["v"] == PROTOCOL


def test_the_checksum_is_crc_32():
    """The check value of CRC-32 is that of the digits 1 to 9."""
    frames = [b"1234", b"56789"]
    assert sealed(frames) == [*frames, b"checksum\x26\x39\xf4\xcb"]
    assert list(unsealed(sealed(frames))) == frames
    assert unsealed(frames) == frames


WAYS = [
    *(pytest.param(message, sealed, id=message.kind) for message in MESSAGES),
    pytest.param(Command(4, "note", {"text": "dim"}, "ctl", "1f"), lambda f: sealed_in_one(*f), id="in one"),
]


@pytest.mark.parametrize(("message", "seal"), WAYS)
def test_a_sealed_message_is_itself_and_any_bit_of_it_that_changes_is_found(message, seal):
    frames = flat(seal(encode(message)))
    assert same(vars(decode(frames)), vars(decode(flat(encode(message)))))
    for number, frame in enumerate(frames):
        for place in range(len(frame)):
            for bit in range(8):
                changed = bytearray(frame)
                changed[place] ^= 1 << bit
                with pytest.raises(WireError):
                    decode([*frames[:number], bytes(changed), *frames[number + 1 :]])


def test_a_frame_that_is_missing_or_moved_is_found():
    head, first, second, seal = flat(sealed(encode(CHUNK)))
    for frames in (
        [head, first, seal],
        [head, second, first, seal],
        [first, second, seal],
        [head, first, second, b""],
    ):
        with pytest.raises(WireError):
            decode(frames)
