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

# Wavelengths from the vacuum ultraviolet to the mid infrared: beyond, a unit or a digit was mistaken.
LEAST_NM, MOST_NM = 100.0, 20_000.0
_WAVELENGTHS = ("excitation_nm", "emission_nm")
# No laser that a microscope is used with is stronger.
MOST_POWER_W = 1000.0

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
            if key in _WAVELENGTHS and value is not None:
                check_wavelength(key, value)
            if key == "power_w" and value is not None and value > MOST_POWER_W:
                raise ValueError(f"{key} is {value:g}: a power of excitation is at most {MOST_POWER_W:g} W")
        elif key not in _TEXTS:
            raise ValueError(f"unknown field {key!r:.60} (known: {', '.join(FIELDS)})")
        elif not isinstance(value, str | None):
            raise ValueError(f"{key} must be a text, not {value!r:.60}")


def check_wavelength(name: str, value_nm: float) -> None:
    """Raise ValueError where ``value_nm`` is no wavelength of an experiment with light; ``name`` is what it is of."""
    if not LEAST_NM <= value_nm <= MOST_NM:
        raise ValueError(f"{name} is {value_nm:g}: a wavelength lies between {LEAST_NM:g} and {MOST_NM:g} nm")


def as_fitted(known: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What is ``known`` of the experiment, with <N> as the fit was ``told`` it, by the parameters of ``lifetime``."""
    if "mean_n" not in told or not known:
        return dict(known)
    return {**known, **{name: told.get(name) for name in ("mean_n", "mean_n_stderr")}}


def experiment_settings(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings that a run is told together (command ``set``) for ``given`` fields; it keeps the others."""
    return [
        *({"node": "results", "name": "experiment", "field": key, "value": given[key]} for key in given),
        *({"node": "lifetime", "name": key, "value": given[key]} for key in OF_FIT if key in given),
    ]
