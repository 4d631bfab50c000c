"""A node of somebody else, in a package outside: found, run and tested there, and quoted by docs/nodes.md."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from photonstream.cli.main import main
from photonstream.nodes.formats.ptu_write import PtuWriter
from photonstream.nodes.formats.records import GENERIC_T3
from photonstream.nodes.kernels.encode import encode_t3, new_carry, t3_capacity
from photonstream.stream.topology import NodeSpec, Topology, TopologyError, build
from photonstream.stream.topology_file import dump_topology, read_topology

ROOT = Path(__file__).resolve().parents[2]
EXTERNAL = ROOT / "tests" / "external"
SYNC_HZ = 1e6
# Photons of detectors 0 and 1 in each half second.
COUNTS = [[300, 500], [0, 0], [120, 30], [1, 0], [700, 700]]
QUOTED = re.compile(r"<!-- quoted from (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)

RUN = """
import json, sys
from pathlib import Path
from photonstream.stream.runner import InlineRunner
from photonstream.stream.topology_file import read_topology

outcome = InlineRunner(read_topology(Path(sys.argv[1])).topology).run()
value = outcome.results["balance", "windows"].value
shares = [[None if x != x else x for x in row] for row in value["shares"].tolist()]
print(json.dumps({
    "windows": {**value, "counts": value["counts"].tolist(), "shares": shares},
    "ledger": outcome.ledger["balance"],
    "imbalances": outcome.imbalances,
}))
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """2.5 s of photons, as many in each half second and detector as COUNTS says."""
    rng = np.random.default_rng(5)
    nsync, channel = [], []
    for window, pair in enumerate(COUNTS):
        for detector, photons in enumerate(pair):
            nsync.append(rng.integers(window * 500_000, (window + 1) * 500_000, photons))
            channel.append(np.full(photons, detector, np.uint8))
    nsync, channel = np.concatenate(nsync), np.concatenate(channel)
    order = np.argsort(nsync, kind="stable")
    path = tmp_path_factory.mktemp("recording") / "half_seconds.ptu"
    carry, end = new_carry(), 2_500_000
    records = np.empty(t3_capacity(len(nsync), end, carry), np.uint32)
    n = encode_t3(nsync[order], np.full(len(nsync), 100, np.uint16), channel[order], end, carry, records)
    with PtuWriter(
        path,
        record_type=GENERIC_T3,
        macrotime_unit_s=1 / SYNC_HZ,
        dtime_resolution_s=80e-12,
        sync_rate_hz=SYNC_HZ,
    ) as writer:
        writer.write(records[:n])
    return path


def run_there(outsider, *arguments, **options):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=outsider.environment, capture_output=True, text=True, timeout=60, check=False, **options
    )


def found_there(outsider, path, recording, chunk_records):
    """What the outsider's node finds in ``recording`` when the photons end with it."""
    source, decode, *_, balance = read_topology(outsider.topology).topology.nodes
    parameters = {"path": str(recording), "chunk_records": chunk_records}
    source = dataclasses.replace(source, parameters=parameters)
    file = dataclasses.replace(read_topology(outsider.topology), topology=Topology((source, decode, balance)))
    path.write_text(dump_topology(file), encoding="utf-8")
    done = run_there(outsider, "-W", "error", "-c", RUN, path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_runs_inline_and_any_split_gives_what_is_known(outsider, tmp_path, recording):
    whole, pieces = (found_there(outsider, tmp_path / "t.toml", recording, n) for n in (1 << 18, 13))
    assert whole == pieces
    assert whole["imbalances"] == []
    assert whole["ledger"]["ended"] == {"counted": sum(map(sum, COUNTS))}
    windows = whole["windows"]
    assert windows["window_s"] == pytest.approx(0.5)
    assert windows["counts"][: len(COUNTS)] == COUNTS
    assert windows["shares"][:4] == [[0.375, 0.625], [None, None], [0.8, 0.2], [None, None]]


def test_its_own_tests_pass_where_it_is_installed(outsider, tmp_path):
    shutil.copytree(EXTERNAL / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = run_there(outsider, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_nobody_finds_it_where_it_is_not_installed(outsider):
    topology = read_topology(outsider.topology).topology
    source = NodeSpec("source", "replay", (), {"path": "none.ptu"})
    with pytest.raises(TopologyError, match=r"no node of kind 'balance' \(known: antibunching, "):
        build(dataclasses.replace(topology, nodes=(source, *topology.nodes[1:])))


def test_the_docs_quote_what_is_run_here():
    quoted = dict(QUOTED.findall((ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")))
    files = ("src/detector_balance.py", "tests/test_detector_balance.py", "pyproject.toml", "node.toml")
    assert sorted(quoted) == sorted(f"tests/external/{name}" for name in files)
    for name, text in quoted.items():
        assert text == (ROOT / name).read_text(encoding="utf-8"), name


@pytest.fixture
def line_with_balance(tmp_path):
    """The standard line as a file, with the outsider's node before `results`, which reads it."""
    standard = (ROOT / "docs" / "standard.toml").read_text(encoding="utf-8")
    before, results = standard.split('[[node]]\nname = "results"')
    node = (EXTERNAL / "node.toml").read_text(encoding="utf-8")
    results = results.replace('"lifetime"]', '"lifetime", "balance"]')
    path = tmp_path / "mine.toml"
    path.write_text(f'{before}{node}\n[[node]]\nname = "results"{results}', encoding="utf-8")
    return path


@pytest.mark.parametrize("placement", ["inline", "threads", "processes"])
def test_a_run_of_the_command_with_a_node_of_somebody_else(
    outsider, recording, line_with_balance, tmp_path, placement
):
    out = tmp_path / "out"
    command = ["-P", "-m", "photonstream.cli", "replay", recording, "--headless", "--placement", placement]
    done = run_there(outsider, *command, "--topology", line_with_balance, "--out", out)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["nodes"]["balance"]["windows"]["counts"] == COUNTS
    assert result["nodes"]["balance"]["windows"]["shares"][1] == [None, None]
    assert result["parameters"]["balance"]["window_s"] == 0.5
    [line] = [line for line in result["ledger"] if line["node"] == "balance"]
    assert line["ended"] == {"counted": sum(map(sum, COUNTS))}
    assert result["recording"]["photons"] == line["events_in"]


def test_without_its_package_the_node_is_named_with_the_file(line_with_balance, recording, capsys):
    assert main(["replay", str(recording), "--headless", "--topology", str(line_with_balance)]) == 2
    err = capsys.readouterr().err
    assert f"{line_with_balance}: no node of kind 'balance'" in err
    assert len(err.splitlines()) == 1
