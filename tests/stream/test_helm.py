"""What the run orders of its nodes when somebody wants something of its clock."""

from types import SimpleNamespace

import pytest

from photonstream.stream.helm import Helm
from photonstream.stream.orders import Pace
from tests.stream.tapes import line

pytestmark = pytest.mark.usefixtures("tape_kinds")


@pytest.fixture
def hub():
    """One whose run is on its way back, at full speed, to where it has been."""
    begun = []
    return SimpleNamespace(
        catching_up=True,
        fresh={},
        missing=[],
        statuses=dict,
        events=0,
        begun=begun,
        begin=lambda epoch, until_s: begun.append((epoch, until_s)),
    )


@pytest.fixture
def helm(hub):
    return Helm(SimpleNamespace(put=lambda result: None), hub, line(), {}, Pace(None))


def test_a_speed_holds_from_where_the_run_has_been(hub, helm):
    done, words = helm.command("speed", {"speed": 1})
    assert done
    assert words.startswith("from where the run has been before")
    helm.adapt(1.0)
    assert helm.orders.pace == Pace(None)
    hub.catching_up = False
    helm.adapt(1.0)
    assert (helm.orders.pace.speed, helm.orders.pace.paused) == (1.0, False)
    # The source has looked where it is; the clock begins there.
    hub.fresh = {("player", "progress"): SimpleNamespace(value={"time_s": 60.0})}
    helm.adapt(1.0)
    assert helm.orders.pace.place_s == 60.0
    begun = helm.orders.version
    helm.adapt(1.0)
    assert helm.orders.version == begun


def test_the_last_word_counts(hub, helm):
    helm.command("speed", {"speed": 1})
    helm.command("speed", {"speed": None})
    hub.catching_up = False
    helm.adapt(1.0)
    assert helm.orders.pace.speed is None


@pytest.mark.parametrize("place_s", [0.0, 5.0, 500.0])
def test_who_seeks_on_the_way_goes_there_and_on_with_the_speed_that_was_to_come(hub, helm, place_s):
    assert not helm.command("seek", {"time_s": place_s})[0]
    helm.command("speed", {"speed": 2})
    assert helm.command("seek", {"time_s": place_s}) == (True, "everything is read again (epoch 1)")
    assert hub.begun == [(1, place_s)]
    pace = helm.orders.pace
    assert (pace.speed, pace.paused, pace.place_s) == (2.0, False, place_s)
    # Nothing is left to come.
    hub.catching_up = False
    helm.adapt(1.0)
    assert helm.orders.pace == pace


def test_who_pauses_on_the_way_goes_on_with_the_speed_that_was_to_come(hub, helm):
    helm.command("speed", {"speed": 2})
    helm.command("pause", {})
    hub.catching_up = False
    helm.adapt(1.0)
    assert helm.orders.pace.paused
    helm.command("resume", {})
    assert helm.orders.pace.speed == 2.0
