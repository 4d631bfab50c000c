"""What the person knows of the experiment: read from a TOML file, null where unknown."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photonstream.stream.node import ParameterError

_TEXTS = (
    "particle",
    "sample",
    "substrate",
    "operator",
    "mean_n_source",
    "objective",
    "filters",
    "irf_file",
    "background_file",
    "sequence",
    "notes",
)
_NUMBERS = ("excitation_nm", "power_w", "spot_um", "mean_n", "mean_n_stderr", "emission_nm", "eg_ev")
# Nothing has these at 0.
_POSITIVE = ("excitation_nm", "spot_um", "emission_nm", "eg_ev")
FIELDS = (*_TEXTS, *_NUMBERS)

# What the fit takes of it, too.
OF_FIT = ("mean_n", "mean_n_stderr", "excitation_nm")

# No quantity of an experiment in its unit is larger; and every such number can be written.
MOST = 1e30


def read_experiment(path: str | None) -> dict[str, Any]:
    """The experiment's fields, all present; raises ParameterError naming the file and what is wrong in it."""
    given: dict[str, Any] = {}
    if path is not None:
        try:
            given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ParameterError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ParameterError(f"{path}: not valid TOML: {error}") from error
        given = given.get("experiment", given)
        if not given:
            raise ParameterError(
                f"{path}: it says nothing of the experiment; leave --meta out, or fill in a field"
            )
        if not isinstance(given, dict):
            raise ParameterError(f"{path}: experiment must be a table of fields, not {given!r:.60}")
    try:
        check_experiment(given)
    except ValueError as error:
        raise ParameterError(f"{path}: {error}") from error
    return {key: given.get(key) for key in FIELDS}


def check_experiment(given: Mapping[str, Any]) -> None:
    """Raise ValueError naming the first field of ``given`` that is unknown or cannot be; None is not known."""
    for key, value in given.items():
        if key in _NUMBERS:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value <= MOST):
                raise ValueError(f"{key} must be a number from 0 on, not {value!r:.60}")
            if key in _POSITIVE and value == 0:
                raise ValueError(f"{key} must be above 0: leave it out where it is not known")
        elif key not in _TEXTS:
            raise ValueError(f"unknown field {key!r:.60} (known: {', '.join(FIELDS)})")
        elif not isinstance(value, str | None):
            raise ValueError(f"{key} must be a text, not {value!r:.60}")


def experiment_settings(
    given: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str, Any]]:
    """Node, name and value of every parameter that has to be set where ``given`` fields are told to a run.

    ``parameters`` are those of the run, by node: what it knows already stays.
    """
    known = parameters.get("results", {}).get("experiment", {})
    return [
        ("results", "experiment", {**dict.fromkeys(FIELDS), **known, **given}),
        *(("lifetime", key, given[key]) for key in OF_FIT if key in given),
    ]
