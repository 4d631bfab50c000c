"""Topology files: what is read, what is written, and what is refused with its place and cause."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from photonstream.nodes.pipeline import standard
from photonstream.stream.topology import NodeSpec, Topology, TopologyError
from photonstream.stream.topology_file import TopologyFile, dump_topology, read_topology

DOCS = Path(__file__).resolve().parents[2] / "docs"

TWO = """
placement = "processes"
listen = "tcp://127.0.0.1:5600"

[[node]]
name = "source"
kind = "replay"

[[node]]
name = "decode"
kind = "decode"
inputs = ["source"]
by_hand = true
parameters = { sync_channel = 0 }
"""
SOURCE = '[[node]]\nname = "source"\nkind = "replay"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("topologies") / "line.toml"


def read(place, text):
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_topology(place)


def one(**more):
    return TopologyFile(Topology((NodeSpec("source", "replay"),)), **more)


def test_a_file_says_which_nodes_there_are_and_where(place):
    assert read(place, TWO) == TopologyFile(
        Topology(
            (
                NodeSpec("source", "replay"),
                NodeSpec("decode", "decode", ("source",), {"sync_channel": 0}),
            )
        ),
        placement="processes",
        listen="tcp://127.0.0.1:5600",
        by_hand=frozenset({"decode"}),
    )


def test_what_a_file_leaves_out_is_left_open(place):
    file = read(place, SOURCE)
    assert (file.placement, file.listen, file.by_hand) == (None, "ipc", frozenset())


def test_parameters_may_stand_in_a_table_of_their_own(place):
    text = SOURCE + "[node.parameters]\nspeed = 2.0\nwindow = [20e3, inf]\nmeta = { who = 'me' }\n"
    assert read(place, text).topology.nodes[0].parameters == {
        "speed": 2.0,
        "window": [20e3, float("inf")],
        "meta": {"who": "me"},
    }


def test_the_standard_line_as_a_file_is_the_standard_line():
    assert read_topology(DOCS / "standard.toml") == TopologyFile(standard({}))


def test_what_is_written_is_what_a_person_would_write():
    file = TopologyFile(
        Topology(
            (
                NodeSpec("source", "replay", (), {"path": "a.ptu", "speed": None}),
                NodeSpec("decode", "decode", ("source",), {"sync_channel": 0, "deep": {"a b": [1.5, True]}}),
            )
        ),
        "processes",
        "ipc:///run/nc",
        frozenset({"decode"}),
    )
    assert dump_topology(file) == (
        'placement = "processes"\nlisten = "ipc:///run/nc"\n\n'
        '[[node]]\nname = "source"\nkind = "replay"\nparameters = { path = "a.ptu" }\n\n'
        '[[node]]\nname = "decode"\nkind = "decode"\ninputs = ["source"]\nby_hand = true\n'
        'parameters = { sync_channel = 0, deep = { "a b" = [1.5, true] } }\n'
    )


def line(*nodes):
    return "".join(f'[[node]]\nname = "{name}"\nkind = "decode"\n{more}\n' for name, more in nodes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "is not TOML: no UTF-8 at line 1"),
        ('a = 1\nb = "\n', "is not TOML: .*line 2"),
        ("a = " + "[" * 5000, "is not TOML: it is nested too deeply"),
        ("a = " + "1" * 5000, "is not TOML: "),
        ("", "there are no nodes in it"),
        ("node = []", "there are no nodes in it"),
        ("[node]\nname = 'a'", r"node: each node begins with a line \[\[node\]\]"),
        ("node = 3", r"node: each node begins with a line \[\[node\]\]"),
        ("node = [3]", r"node: each node begins with a line \[\[node\]\]"),
        (f"place = 'ipc'\n{SOURCE}", r"'place': there is no such key \(there are: placement, listen, node\)"),
        (f"placement = 1\n{SOURCE}", "placement: has to be a text, not an integer"),
        (f"placement = 'forks'\n{SOURCE}", "placement: 'forks' is none of inline, threads, processes"),
        (f"listen = []\n{SOURCE}", "listen: has to be a text, not a list"),
        (f"{SOURCE}input = ['a']", r"node 1 \(source\), 'input': there is no such key \(there are: name, "),
        ("[[node]]\nkind = 'decode'", "node 1, name: is missing"),
        ("[[node]]\nname = 'a'", r"node 1 \(a\), kind: is missing"),
        ("[[node]]\nname = 7", "node 1, name: has to be a text, not an integer"),
        (f"{SOURCE}[[node]]\nname = 'b'\nkind = 1.5", r"node 2 \(b\), kind: has to be a text, not a number"),
        (f"{SOURCE}inputs = 'a'", r"node 1 \(source\), inputs: has to be a list, not a text"),
        (
            f"{SOURCE}inputs = [true]",
            r"node 1 \(source\), inputs: is a list of names of nodes, and true or false",
        ),
        (f"{SOURCE}by_hand = 1", r"node 1 \(source\), by_hand: has to be true or false, not an integer"),
        (f"{SOURCE}parameters = 1", r"node 1 \(source\), parameters: has to be a table, not an integer"),
        (f"{SOURCE}parameters = {{ when = 2024-01-01 }}", r"parameters\.when: cannot be a date or time"),
        (f"{SOURCE}parameters = {{ a = [[07:32:00]] }}", r"parameters\.a: cannot be a date or time"),
        (f"{SOURCE}parameters = {{ n = 9223372036854775808 }}", r"parameters\.n: an integer has at most 64"),
        (f"{SOURCE}parameters.{'.'.join('a' * 40)} = 1", r"parameters\.a: is nested deeper than 16 times"),
        (line(("a/b", "")), "node 1, name: 'a/b' cannot be part of a file name"),
        (line(("", "")), "node 1, name: '' cannot be part"),
        (line(("ä", "")), "node 1, name: 'ä' cannot be part"),
        (line(("a" * 51, "")), "node 1, name: 'aaa.* cannot be part"),
        (line(("run", "")), "node 1, name: 'run' is what the run itself is called"),
        (line(("a", ""), ("a", "")), "two nodes are called 'a'"),
        (line(("a", "inputs = ['b']")), "node 'a' reads 'b', which does not stand before it"),
        (f"listen = 'udp://127.0.0.1:1'\n{SOURCE}", "listen: 'udp://127.0.0.1:1' is neither"),
        (f"listen = 'ipc://here'\n{SOURCE}", "listen: 'ipc://here' is neither"),
        (f'listen = "ipc:///a\\u0000"\n{SOURCE}', "listen: .* is neither"),
        (f"listen = 'ipc:///{'a' * 100}'\n{SOURCE}", "listen in a folder with a shorter name"),
        (f"listen = 'tcp://*:5600'\n{SOURCE}", r"listen: '\*' is no address of a machine"),
        (f"listen = 'tcp://0.0.0.0:5600'\n{SOURCE}", "is no address of a machine"),
        (f"listen = 'tcp://localhost:5600'\n{SOURCE}", "is no address of a machine"),
        (f"{SOURCE}host = 7", r"node 1 \(source\), host: has to be a text, not an integer"),
        (f"{SOURCE}host = 'lab'", "node 'source', host: 'lab' is no address of a machine"),
        (f"{SOURCE}host = '10.0.0.2'", "node 'source', host: .* write listen = "),
        (
            f"listen = 'tcp://10.0.0.1:5600'\n{SOURCE}host = '10.0.0.2'",
            "the run starts no node on another machine; write by_hand = true",
        ),
        (f"listen = 'tcp://127.0.0.1'\n{SOURCE}", "is neither"),
        (f"listen = 'tcp://127.0.0.1:0'\n{SOURCE}", "listen: port 0 cannot be"),
        (f"listen = 'tcp://127.0.0.1:65534'\n{SOURCE}", "port 65534 cannot be: .* 65534 to 65536"),
        (f"{SOURCE}by_hand = true", "node 'source', by_hand: .* where the others listen; write listen = "),
        (f"placement = 'inline'\n{SOURCE}by_hand = true", "by_hand: .* process of its own"),
        (f"placement = 'threads'\nlisten = 'ipc:///a'\n{SOURCE}by_hand = true", "the placement is 'threads'"),
    ],
)
def test_what_is_refused_names_file_place_and_cause(place, text, words):
    with pytest.raises(TopologyError, match=words) as refused:
        read(place, text)
    assert str(refused.value).startswith(f"{place}: ")
    assert "\n" not in str(refused.value)


def test_the_last_port_and_the_longest_name_are_taken(place):
    read(place, f"listen = 'tcp://127.0.0.1:65533'\n{SOURCE}")
    read(place, line(("a" * 50, "")))


@pytest.mark.parametrize("name", ["missing.toml", ".", "no\0name"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(TopologyError, match="cannot be read: "):
        read_topology(tmp_path / name)


def test_a_file_that_is_no_topology_is_not_read_whole(place):
    with pytest.raises(TopologyError, match="longer than 1,048,576 bytes"):
        read(place, b"#" * (1 << 21))


def test_a_file_holds_when_it_is_changed_in_memory():
    by_hand = one(placement="processes", listen="ipc:///a", by_hand=frozenset({"source"}))
    with pytest.raises(TopologyError, match="process of its own"):
        dataclasses.replace(by_hand, placement="threads")
    with pytest.raises(TopologyError, match="there is no node 'decode'"):
        dataclasses.replace(by_hand, by_hand=frozenset({"decode"}))


def test_only_the_run_knows_its_private_folder():
    with pytest.raises(TopologyError, match="only the run itself knows"):
        one().places("r")


def test_the_places_are_those_of_the_file():
    assert one(listen="ipc:///run/nc").places("r").chunks("source") == "ipc:///run/nc/source.chunks"
    assert one(listen="tcp://127.0.0.2:7000").places("r").results("source") == "tcp://127.0.0.2:7001"


def test_a_node_elsewhere_listens_there_and_the_run_where_it_is():
    file = one(
        placement="processes",
        listen="tcp://10.0.0.1:7000",
        by_hand=frozenset({"source"}),
        hosts={"source": "10.0.0.2"},
    )
    assert file.endpoints() == ["tcp://10.0.0.1:7002", "tcp://10.0.0.2:7000", "tcp://10.0.0.2:7001"]


@pytest.mark.parametrize("value", [[None], {1: 2}, {1, 2}, 1 << 63, "\udc80", {"\ud800": 1}, b"bytes"])
def test_what_toml_cannot_hold_is_not_written(value):
    with pytest.raises(
        TopologyError, match=r"node source, parameters: .*(TOML cannot hold|has to be a text)"
    ):
        dump_topology(TopologyFile(Topology((NodeSpec("source", "replay", (), {"x": value}),))))


def test_what_is_nested_without_end_is_not_written():
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TopologyError, match="nested deeper"):
        dump_topology(TopologyFile(Topology((NodeSpec("source", "replay", (), {"x": endless}),))))


# Text of a file on disk is UTF-8; control characters and quotes are the ones a writer gets wrong.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    '\\"\n\r\t\x00\x1f\x7f\x85{}=#', max_size=6
)
plain = st.one_of(texts, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False))
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
names = st.from_regex(r"[A-Za-z0-9_-]{1,50}", fullmatch=True).filter(lambda name: name != "run")


@st.composite
def files(draw):
    """Any topology file: nodes that read those before them."""
    specs = []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        before = [spec.name for spec in specs]
        inputs = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        parameters = draw(st.dictionaries(texts, values, max_size=3))
        specs.append(NodeSpec(name, draw(texts), tuple(inputs), parameters))
    placement = draw(st.sampled_from([None, "inline", "threads", "processes"]))
    listen = draw(st.sampled_from(["ipc", "ipc:///tmp/a b", "tcp://127.0.0.1:5600", "tcp://127.1.2.3:1"]))
    by_hand = frozenset()
    if placement in (None, "processes") and listen != "ipc":
        by_hand = draw(st.frozensets(st.sampled_from([spec.name for spec in specs])))
    hosts = {}
    if listen.startswith("tcp:"):
        hosts = {name: draw(st.sampled_from(["10.0.0.2", "127.0.0.3"])) for name in sorted(by_hand)[:2]}
    return TopologyFile(Topology(tuple(specs)), placement, listen, by_hand, hosts)


def typed(value):
    """``value`` with its types, for 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return type(value), repr(value)


@settings(max_examples=150)
@given(file=files())
def test_what_is_written_reads_as_the_same(place, file):
    back = read(place, dump_topology(file))
    assert back == file
    for one_spec, other in zip(back.topology.nodes, file.topology.nodes, strict=True):
        assert typed(one_spec.parameters) == typed(other.parameters)


@given(value=st.recursive(st.none() | st.integers(0, 9), lambda v: st.dictionaries(names, v, max_size=3)))
def test_none_is_left_out_wherever_it_stands(place, value):
    def without(v):
        return {k: without(x) for k, x in v.items() if x is not None} if isinstance(v, dict) else v

    file = TopologyFile(Topology((NodeSpec("source", "replay", (), {"x": value}),)))
    expected = {} if value is None else {"x": without(value)}
    assert read(place, dump_topology(file)).topology.nodes[0].parameters == expected


pieces = st.sampled_from(
    [
        *"[]{}=\"'\n.,#",
        "[[node]]\n",
        "[node.parameters]\n",
        "node = ",
        "name = ",
        "kind = ",
        "inputs = ",
        "by_hand = ",
        "parameters = ",
        "listen = ",
        "placement = ",
        "'a'",
        "'ipc:///a'",
        "'tcp://127.0.0.1:99999'",
        "'tcp://1:1'",
        "'processes'",
        "true",
        "1e999",
        "1979-05-27T07:32:00Z",
        "-0x",
        "\\uD800",
    ]
)


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(pieces, max_size=30).map(lambda parts: "".join(parts).encode()),
        st.builds(
            lambda at, cut, put: TWO.encode()[:at] + put + TWO.encode()[at + cut :],
            st.integers(0, len(TWO)),
            st.integers(0, 12),
            st.binary(max_size=4) | pieces.map(str.encode),
        ),
    )
)
@example(b"\n".join([SOURCE.encode(), b"parameters." + b".".join([b"a"] * 3000) + b" = 1"]))
def test_any_bytes_are_a_topology_or_are_refused(place, content):
    refusal = ""
    try:
        file = read(place, content)
    except TopologyError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(f"{place}: ")
    else:
        assert read(place, dump_topology(file)) == file
