"""The vendors' packages, simulated: each stands beside this file as a module."""

import importlib.util
from pathlib import Path

import pytest


def simulator(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def snapi():
    return simulator("snapi_simulator")


@pytest.fixture
def time_tagger():
    return simulator("time_tagger_simulator")
