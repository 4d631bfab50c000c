"""The command socket in bad company: whatever comes is carried out, or refused and counted."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from photonstream.stream.wire import Answer, Command, Error, Need, WireError, decode, encode
from tests.stream.command_line import Ends, command

GOLDEN = [
    command(3, "set", {"node": "states", "name": "on", "value": [1.5, 20.0]}),
    command(1, "seek", {"time_s": 12}),
    [bytes(frame) for frame in encode(Answer(1, True, "done"))],
    [bytes(frame) for frame in encode(Answer(2, False, "no"))],
    [bytes(frame) for frame in encode(Error("not understood"))],
    [bytes(frame) for frame in encode(Need(0, 17, 33))],
]
mutations = st.sampled_from(["flip", "cut", "insert", "double", "none"])


@st.composite
def hostile(draw):
    """Noise, or a message with bytes changed, cut, put in, or frames doubled."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.lists(st.binary(max_size=40), max_size=3))
    frames = [bytearray(frame) for frame in draw(st.sampled_from(GOLDEN))]
    for mutation in draw(st.lists(mutations, max_size=4)):
        frame = draw(st.sampled_from(frames))
        if mutation == "flip" and frame:
            frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
        elif mutation == "cut" and frame:
            del frame[draw(st.integers(0, len(frame) - 1)) :]
        elif mutation == "insert":
            at = draw(st.integers(0, len(frame)))
            frame[at:at] = draw(st.binary(max_size=8))
        elif mutation == "double":
            frames.append(bytearray(frame))
    return [bytes(frame) for frame in frames]


def is_a(kind, frames):
    try:
        return isinstance(decode(frames), kind) and len(frames) == 1
    except WireError:
        return False


@settings(max_examples=150)
@given(st.lists(hostile(), max_size=12))
def test_whatever_comes_to_the_run_is_carried_out_or_refused_and_counted(messages):
    ends = Ends()
    ends.clients[0].send("pause", {})
    for n, frames in enumerate(messages):
        ends.say(b"stranger %d" % n, *frames)
    ends.serve()
    good = sum(is_a(Command, frames) for frames in messages)
    assert len(ends.deeds.done) == good + 1
    assert ends.server.refused == len(messages) - good
    for n, frames in enumerate(messages):
        (told,) = ends.told(b"stranger %d" % n)
        assert isinstance(told, Answer if is_a(Command, frames) else Error)
    ends.hear()
    assert len(ends.answers) == 1


@settings(max_examples=150)
@given(st.lists(hostile(), max_size=12))
def test_whatever_comes_to_the_page_is_an_answer_or_is_refused_and_counted(messages):
    ends = Ends()
    ends.clients[0].send("pause", {})
    ends.clients[0].send("resume", {})
    identity = ends.clients[0].socket.identity
    first = 1
    refused, heard = 0, []
    for frames in messages:
        message = decode(frames) if is_a((Answer, Error), frames) else None
        if isinstance(message, Answer) and message.number == first <= 2:
            heard.append((message.ok, message.text))
            first += 1
        elif message is None or (isinstance(message, Answer) and message.number >= min(first, 3)):
            refused += 1
        ends.line.down.setdefault(identity, deque()).append(list(frames))
    ends.hear()
    assert ends.answers == heard
    assert ends.clients[0].refused == refused
    assert ends.clients[0].waiting == 3 - first


def test_an_answer_to_a_command_that_has_not_been_given_is_refused():
    ends = Ends()
    ends.clients[0].send("pause", {})
    identity = ends.clients[0].socket.identity
    for number in (0, 2, 7):
        ends.line.down.setdefault(identity, deque()).append(encode(Answer(number, True, "trust me")))
    ends.hear()
    # Number 0 could be an old one.
    assert (ends.answers, ends.clients[0].refused, ends.clients[0].waiting) == ([], 2, 1)


def test_who_is_refused_can_read_why():
    ends = Ends()
    ends.line.down[ends.clients[0].socket.identity] = deque([encode(Error("not so"))])
    ends.hear()
    assert ends.clients[0].refusal == "not so"
    assert ends.answers == []


# Over real sockets
