"""The fault campaign in short: every kind once, and what is wrong on purpose is found."""

import shutil
import sys

import pytest

from photonstream.cli.campaign.disturb import Found, disturb, small_disk
from photonstream.cli.campaign.faults import BY_NAME, FAULTS
from photonstream.cli.campaign.scene import Scene
from photonstream.cli.faults import table
from photonstream.cli.main import main
from photonstream.nodes.formats import open_tag_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found through /proc")

# Several faults of one run, one after the other, so that all of them take little time. A run with a page does not say
# where strangers find it, and stays when its recorder is killed.
RUNS = (
    ("threads", True, ("overrun", "kill-page", "stop-page")),
    ("threads", True, ("blocked-reader", "kill-recorder")),
    ("threads", False, ("strangers", "stop-recorder", "stop-run", "clock", "kill-run", "file-limit")),
    ("processes", False, ("grown", "sync-lost", "kill-node", "stop-node")),
    ("tcp", True, ("stall", "slow-node", "cut-line", "delay", "double", "corrupt")),
    ("inline", False, ("device-gone", "disk-full")),
)


def test_every_kind_of_fault_has_its_run():
    assert sorted(name for _, _, names in RUNS for name in names) == sorted(BY_NAME)


def may_mount(folder):
    folder.mkdir()
    try:
        with small_disk(folder):
            return True
    except OSError:
        return False
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("placement", "live", "names"), RUNS, ids=lambda value: str(value)[:40])
def test_what_is_disturbed_comes_to_the_same(tmp_path, placement, live, names):
    if "disk-full" in names and not may_mount(tmp_path / "try"):
        pytest.skip("no small disk can be mounted here")
    found = disturb([BY_NAME[name] for name in names], placement, tmp_path, seed=1, live=live)
    assert found.wrong == ()
    assert (found.faults, found.live) == (names, live)
    assert not any(tmp_path.iterdir())


def test_a_record_that_is_not_what_the_device_gave_is_a_violation(tmp_path, monkeypatch, capsys):
    finish = Scene.finish

    def spoil(scene):
        wrong = finish(scene)
        offset = open_tag_file(scene.path).data_offset
        with scene.path.open("r+b") as file:
            file.seek(offset + 4 * 100)
            low = file.read(1)[0]
            file.seek(offset + 4 * 100)
            file.write(bytes([low ^ 1]))
        return wrong

    monkeypatch.setattr(Scene, "finish", spoil)
    assert main(["faults", "--only", "stall", "--time", "1s", "--out", str(tmp_path / "kept")]) == 1
    said = capsys.readouterr()
    assert "1 records are not what the device gave, the first of them number 100" in said.err
    assert "result.json differs from" in said.err
    assert "1 WRONG" in said.out
    [kept] = (tmp_path / "kept").iterdir()
    assert f"1 of 1 runs with something wrong are in {kept.parent}" in said.out
    assert list(kept.rglob("*.ptu"))


def test_what_was_not_tried_is_not_called_right():
    lines = table(FAULTS, []).splitlines()
    assert len(lines) == 2 + len(FAULTS)
    assert all("not tried" in line for line in lines[2:])


def test_a_folder_for_what_is_kept_is_known_from_the_root(tmp_path, monkeypatch):
    """What a run names in its result is the same from wherever its recording is replayed."""
    monkeypatch.chdir(tmp_path)
    parents = []
    monkeypatch.setattr(
        "photonstream.cli.faults.disturb",
        lambda faults, placement, parent, seed: (
            parents.append(parent) or Found((), placement, False, (), parent)
        ),
    )
    assert main(["faults", "--only", "stall", "--time", "0.1s", "--out", "kept"]) == 0
    assert set(parents) == {tmp_path / "kept"}


def test_there_is_no_such_fault(capsys):
    assert main(["faults", "--only", "overrun,flood"]) == 2
    assert "there is no fault 'flood' (there are: kill-node, " in capsys.readouterr().err
