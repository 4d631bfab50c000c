"""What the commands have in common that take a recording through the pipeline: their options, and their run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from photonstream.cli.folders import claimed, free_folder
from photonstream.cli.interrupts import Interrupts
from photonstream.cli.keys import add_keys_option
from photonstream.cli.like import Earlier
from photonstream.cli.parameters import build_nodes, of_file
from photonstream.cli.preparation import prepare
from photonstream.cli.progress import ProgressLine
from photonstream.cli.quantities import (
    add_set_option,
    address,
    duration,
    fit_range,
    irf,
    mean_n,
    standard_error,
    states_method,
    window,
)
from photonstream.cli.running import Run, add_page_options
from photonstream.nodes.experiment import read_experiment
from photonstream.nodes.inference.rows import METHODS
from photonstream.nodes.tables import EXPORTS
from photonstream.stream.supervisor import ANYWHERE
from photonstream.stream.topology_file import PLACEMENTS


def add_run_options(parser: argparse.ArgumentParser, *, until_sigma: str = "") -> None:
    """The options of what is done to the photons; ``until_sigma``: what that option means here besides."""
    parser.add_argument("--bin", type=duration, metavar="TIME", help="bin width of the trace (default 10ms)")
    parser.add_argument(
        "--states",
        type=states_method,
        metavar=f"{{{','.join(METHODS)}}}",
        help="how the neutral state is told from others: by lifetime gates and rates (hmm: hidden Markov, default), or "
        "by the brightness of the trace alone (window)",
    )
    parser.add_argument(
        "--on",
        type=window,
        metavar="LOW:HIGH|auto",
        help="rates of the bins whose photons enter the decay, such as 20k:80k, whatever their states; auto (default): "
        "the neutral state, or with --states window the brightest level of the trace",
    )
    parser.add_argument(
        "--irf",
        type=irf,
        metavar="FILE|FWHM|tail",
        help="instrument response: a recording of it (tag file, two columns, time in ns and counts, or what "
        "photonstream irf has stored), or the full width of a Gaussian such as 0.1ns, with an exponential tail such as "
        "0.1ns+10%%@0.3ns (10 %% of the photons late by 0.3 ns on average); tail fits width, share and time; without "
        "it the width of a Gaussian is fitted; a file of such a name is given as ./NAME",
    )
    parser.add_argument(
        "--fit-range",
        type=fit_range,
        metavar="FROM:TO",
        help="delays that are fitted, on the axis of the decay, such as 2ns:150ns, either of which may be left out "
        "(default: the whole period)",
    )
    parser.add_argument(
        "--mean-n",
        type=mean_n,
        metavar="N",
        help="mean number of absorbed photons per pulse, with its standard error such as 0.10±0.02 or 0.10+-0.02 "
        "(where none is given that of --meta if <N> is the same there, else 30 %% of it); corrects beta for it",
    )
    parser.add_argument(
        "--until-sigma",
        type=standard_error,
        metavar="SIGMA",
        help=f"read no further once beta is known to this standard error, such as 0.02{until_sigma}",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        metavar="FOLDER",
        help="results of runs of the same nanocrystal at 640 nm, which make biexcitons only by double absorption: beta "
        "with s from them at their <N>, and their <N> at the given s",
    )
    parser.add_argument(
        "--meta", metavar="FILE.toml", help="what is known of the experiment (see docs/schema.md)"
    )
    add_set_option(parser, "any parameter of a node, such as lifetime.s=3.5")
    parser.add_argument(
        "--placement",
        choices=PLACEMENTS,
        help="run each node in a thread (threads, default), in a process, or all in one thread (inline, without a "
        "page); the results are the same",
    )
    parser.add_argument(
        "--topology",
        type=Path,
        metavar="FILE.toml",
        help="other nodes than the standard ones (see docs/nodes.md)",
    )
    parser.add_argument(
        "--second-opinion",
        action="store_true",
        help="at the end also find the states from change points of the intensity, photon by photon, and say where "
        "they agree (keeps up to 20 million photons in memory)",
    )
    parser.add_argument("--headless", action="store_true", help="no page: end when the recording ends")
    add_page_options(parser)
    parser.add_argument(
        "--address",
        type=address,
        default=ANYWHERE,
        metavar="ADDRESS",
        help="where the results are published for `photonstream dashboard` (default: a free port of this machine)",
    )
    add_keys_option(parser)
    # Whether a free address, or port of the page, does where another program has that one.
    parser.set_defaults(or_elsewhere=False, any_port=False)
    parser.add_argument("--export", choices=[*EXPORTS], help="write the curves also for Origin or Igor")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the results (default: a new one, runs/DATE_FILE)"
    )


def run_pipeline(
    arguments: argparse.Namespace,
    kind: str,
    source: Mapping[str, Any],
    make: Callable[..., Run] = Run,
    like: Earlier | None = None,
) -> int:
    """Read, print the table, write the folder. Returns the exit code.

    ``kind`` of the source, and what the command line says of it, by parameter. ``make`` makes the run.
    ``like``: another run whose nodes, parameters and experiment hold where nothing else is said.
    """
    line = ProgressLine()
    with Interrupts() as interrupts:
        experiment: dict[str, Any] = read_experiment(arguments.meta)
        if like is not None:
            said = {key: value for key, value in experiment.items() if value is not None}
            experiment = {**like.experiment, **said}
        arguments.notes = () if like is None else like.notes
        out = arguments.out or free_folder(Path(arguments.file))
        with of_file(arguments.topology):
            base = None if like is None else like.nodes
            file = build_nodes(arguments, experiment, out, kind, source, base)
            one = make(file, out, line, arguments)
        # What is wrong with the file or a parameter is told before anything is made for it.
        one.runner.check()
        # Before a device is armed: what comes of it would wait.
        prepare(line, interrupts, live=arguments.watched)
        with claimed(out), closing(one.record):
            interrupts.call(one.stop, one.leave)
            return one.run()
