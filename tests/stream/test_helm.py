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
    return SimpleNamespace(catching_up=True, fresh={}, missing=[], statuses=dict, events=0)


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


def test_who_pauses_on_the_way_goes_on_with_the_speed_that_was_to_come(hub, helm):
    helm.command("speed", {"speed": 2})
    helm.command("pause", {})
    hub.catching_up = False
    helm.adapt(1.0)
    assert helm.orders.pace.paused
    helm.command("resume", {})
    assert helm.orders.pace.speed == 2.0
