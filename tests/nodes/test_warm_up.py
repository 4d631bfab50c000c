"""What is made ready before photons come."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from photonstream.nodes import compiled
from photonstream.nodes.formats.records import GENERIC_T2, GENERIC_T3
from photonstream.nodes.kernels.decode import counts, decode, new_carry
from photonstream.nodes.warm_up import made_up

REPLAY_DATA = Path(__file__).parents[2] / "replay_data"
# Which compiled forms of each kernel there are after warming up, and after a run over a real recording.
COUNT = """
import sys
from numba.core.dispatcher import Dispatcher
from photonstream.nodes.warm_up import warm_up
from photonstream.nodes.pipeline import standard
from photonstream.stream.threads import ThreadsRunner

def forms():
    modules = [module for name, module in sys.modules.items() if name.startswith("photonstream.")]
    kernels = {each for module in modules for each in vars(module).values() if isinstance(each, Dispatcher)}
    return {(each.py_func.__qualname__, str(form)) for each in kernels for form in each.signatures}

warm_up()
ready = forms()
ThreadsRunner(standard({"source": {"path": sys.argv[1]}})).run()
print(len(ready), sorted(forms() - ready))
"""


def test_nothing_is_left_to_be_compiled_or_loaded():
    done = subprocess.run(
        [sys.executable, "-P", "-c", COUNT, str(REPLAY_DATA / "nc_355nm.ptu")],
        capture_output=True,
        text=True,
        check=True,
    )
    ready, _, left = done.stdout.partition(" ")
    assert int(ready) > 15
    assert left.strip() == "[]"


@pytest.mark.parametrize("kind", [GENERIC_T3, GENERIC_T2])
def test_what_is_made_up_are_records(kind):
    records = made_up(kind)
    carry = new_carry()
    events = decode(records, kind, carry)
    assert len(events.macrotime) > 10_000
    assert counts(carry).backwards == 0
    assert set(np.unique(events.channel)) == {0, 1}
    # Two seconds, by the sync periods or ticks that stand in its header.
    unit_s = 2e-7 if kind.mode == "T3" else 1e-11
    assert 2.0 < events.macrotime[-1] * unit_s < 2.2


def test_all_kernels_are_known_to_be_kept_once_that_was_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    (tmp_path / "one.nbi").touch()
    assert not compiled.kernels_are_kept()
    compiled.all_are_kept()
    assert compiled.kernels_are_kept()
    # Those of another state of the source are others.
    monkeypatch.setattr(compiled, "source_hash", lambda: "another")
    assert not compiled.kernels_are_kept()
