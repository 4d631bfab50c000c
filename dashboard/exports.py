"""What a plot of the live page is exported as: the columns of its table, with names and units as in a run's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from photonstream.dashboard.panels.history import QUANTITIES
from photonstream.dashboard.views import EXTRAS


@dataclass(frozen=True)
class Table:
    """The ``sources`` of a plot, one below the other, and their ``columns``: as they are, their names, their units.

    ``{NAME}`` within a name stands for what the plot's legend calls NAME; a column that it does not show is left out.

    ``mark``: name of a first column that says of which source a row is, with a value for each.
    """

    sources: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    mark: str = ""
    marks: tuple[int, ...] = ()


_HISTORY = (("value", ""), ("low", "_low"), ("high", "_high"), ("low95", "_low95"), ("high95", "_high95"))
# By plot. Numbers are those that are drawn: of a long trace the extremes of each column of the screen.
TABLES = {
    "trace": Table(
        ("trace_values",),
        (
            ("left", "time_start", "s"),
            ("right", "time_stop", "s"),
            ("low", "rate_low", "1e3/s"),
            ("high", "rate_high", "1e3/s"),
            ("selected", "selected", "%"),
        ),
    ),
    "histogram": Table(
        ("histogram",),
        (
            ("low", "rate_start", "1e3/s"),
            ("high", "rate_stop", "1e3/s"),
            ("bins", "bins", "bins"),
            ("selected", "bins_selected", "bins"),
        ),
    ),
    "flid": Table(
        ("flid",),
        (
            ("low", "rate_start", "1e3/s"),
            ("high", "rate_stop", "1e3/s"),
            ("mean_dtime_start", "mean_dtime_start", "ns"),
            ("mean_dtime_stop", "mean_dtime_stop", "ns"),
            ("bins", "bins", "bins"),
        ),
    ),
    "decay": Table(
        ("decay",),
        (
            ("time", "time", "ns"),
            ("selected", "counts", "counts"),
            ("everything", "counts_all_states", "counts"),
            *((name, name, "counts") for name in ("fit", "exciton", "fast", "background", "response")),
            *((name, f"counts_{{{name}}}", "counts") for name in EXTRAS[1:]),
        ),
    ),
    "residuals": Table(("residuals",), (("time", "time", "ns"), ("residual", "residual", "sigma"))),
    "pairs": Table(
        ("pairs",),
        (
            ("left", "delay_start", "ns"),
            ("right", "delay_stop", "ns"),
            ("pairs", "pairs", "pairs"),
            ("selected", "pairs_selected", "pairs"),
        ),
    ),
    "dwell": Table(
        ("dwell_selected", "dwell_other"),
        (
            ("start", "time_start", "s"),
            ("stop", "time_stop", "s"),
            ("dwells", "dwells", "dwells"),
            ("density", "density", "1/s"),
            ("exponential", "exponential", "1/s"),
            ("power_law", "power_law", "1/s"),
            ("cut_off", "cut_off", "1/s"),
        ),
        "selected",
        (1, 0),
    ),
    **{
        quantity.name: Table(
            (quantity.name,),
            (
                ("photons", "photons", "counts"),
                *(
                    (column, quantity.name.removesuffix("_s") + end, quantity.unit.name)
                    for column, end in _HISTORY
                ),
            ),
        )
        for quantity in QUANTITIES
    },
}


def tables_json() -> str:
    """All tables, for the page's script."""
    return json.dumps({name: asdict(table) for name, table in TABLES.items()})
