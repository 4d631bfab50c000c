"""Where the sockets of a run are."""

import socket

import pytest

from photonstream.stream.places import Places
from photonstream.stream.topology import TopologyError

NODES = ("source", "decode", "lifetime")


def everything(places):
    return [places.orders(), *(e for n in NODES for e in (places.chunks(n), places.results(n)))]


def test_each_output_has_a_place_of_its_own(tmp_path):
    for places in (
        Places.inproc("7f"),
        Places.ipc(tmp_path, "7f"),
        Places.tcp("127.0.0.1", 5600, NODES, "7f"),
    ):
        assert places.run == "7f"
        assert len(set(everything(places))) == 7


def test_two_runs_in_one_process_do_not_meet():
    assert not set(everything(Places.inproc("7f"))) & set(everything(Places.inproc("80")))


def test_tcp_takes_two_ports_a_node_and_one_more():
    places = Places.tcp("127.0.0.1", 5600, NODES, "7f")
    assert everything(places) == [f"tcp://127.0.0.1:{port}" for port in (5606, *range(5600, 5606))]
    with pytest.raises(
        TopologyError, match="node 'decay' has no port: the nodes are source, decode, lifetime"
    ):
        places.chunks("decay")


@pytest.mark.parametrize("port", [0, -1, 65530])
def test_there_are_not_more_ports_than_there_are(port):
    with pytest.raises(TopologyError, match=rf"3 nodes and the orders take the ports {port} to {port + 6}"):
        Places.tcp("127.0.0.1", port, NODES, "7f")
    assert Places.tcp("127.0.0.1", 65529, NODES, "7f").orders() == "tcp://127.0.0.1:65535"


def test_a_path_as_long_as_the_system_takes_it_and_no_longer(tmp_path):
    name = "run.orders"
    for length in (107, 108):
        folder = tmp_path / ("a" * (length - len(str(tmp_path)) - len(name) - 2))
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as unix:
            if length == 107:
                unix.bind(str(folder / name))
                assert Places.ipc(folder, "7f").orders() == f"ipc://{folder / name}"
            else:
                with pytest.raises(OSError, match="too long"):
                    unix.bind(str(folder / name))
                with pytest.raises(
                    TopologyError, match=r"108 bytes, and the system takes 107; .* shorter name"
                ):
                    Places.ipc(folder, "7f").orders()


def test_a_path_is_counted_in_bytes(tmp_path):
    with pytest.raises(TopologyError, match="shorter name"):
        Places.ipc(tmp_path / ("ä" * 48), "7f").results("source")
