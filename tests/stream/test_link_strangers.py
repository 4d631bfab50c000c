"""The credit link in bad company: absurd needs, strangers and floods."""

import pytest

from photonstream.stream.link import REPEAT_S
from photonstream.stream.wire import Hello, Need, encode
from tests.stream.hand_network import Wire, answers, chunk, opened, opening


@pytest.mark.parametrize(
    "need",
    [
        Need(0, 1, 5),
        Need(0, 4, 3),
        Need(0, 3, 5),
        Need(0, 2, 2 + (1 << 13)),
        Need(0, 2, (1 << 64) - 1),
        Need(0, (1 << 64) - 1, (1 << 64) - 1),
    ],
)
def test_absurd_needs_are_refused_or_do_no_harm(need):
    ends = opened("decay")
    ends.writer.put(chunk(0))
    ends.writer.put(chunk(1))
    ends.rounds(2)
    ends.say("decay", need)
    ends.rounds(3, pass_s=REPEAT_S)
    for n in range(2, 4):
        ends.writer.put(chunk(n))
    ends.rounds(6, pass_s=REPEAT_S)
    if need.next < 2:
        # It went back to what is gone: only a new epoch helps.
        assert ends.writer.behind == {"decay"}
    else:
        assert ends.sequences("decay") == [0, 1, 2, 3]
        assert ends.writer.refused == 1
        assert "NEED" in answers(ends)[0].text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Hello(1, "mallory"), "no reader"),
        (Hello(1, "m" * 1000), "too long"),
        (Hello(2, "decay"), "protocol 2"),
        (Need(0, 0, 4), "HELLO comes first"),
        (chunk(0), "CHUNK is nothing"),
        (opening(9), "OPEN is nothing"),
    ],
)
def test_strangers_are_refused_with_a_reason_and_counted(message, words):
    ends = opened("decay")
    ends.network.wires[b"stranger"] = Wire()
    ends.network.wires[b"stranger"].under_way["up"].append(encode(message))
    ends.round()
    assert ends.writer.refused == 1
    assert words in answers(ends)[0].text
    ends.writer.put(chunk(0))
    ends.round()
    assert ends.sequences("decay") == [0]


def test_a_reader_knows_why_it_is_refused_and_does_not_answer_in_a_tight_circle():
    ends = opened("decay")
    stranger = ends.start("mallory")
    ends.rounds(100, pass_s=REPEAT_S / 20)
    assert "no reader" in stranger.refusal
    assert 4 <= ends.writer.refused <= 7


def test_a_flood_does_not_keep_either_end_from_its_work():
    ends = opened("decay")
    ends.network.wires[b"stranger"] = Wire()
    ends.network.wires[b"stranger"].arrived["up"].extend([[b"noise"]] * 5000)
    ends.network.wires[ends.identity("decay")].arrived["down"].extend([[b"noise"]] * 5000)
    ends.round()
    assert 0 < ends.writer.refused < 5000
    assert 0 < ends.readers["decay"].refused < 5000
    assert "not msgpack" in ends.readers["decay"].refusal
    ends.writer.put(chunk(0))
    ends.rounds(8)
    assert ends.sequences("decay") == [0]
