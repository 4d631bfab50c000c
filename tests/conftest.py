"""Where the real recordings are (PHOTONSTREAM_DATA, or a folder beside the checkout), and a node of somebody else."""

import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from photonstream.nodes.warm_up import warm_up

# No test fails because the machine was busy.
settings.register_profile("photonstream", deadline=None)
settings.load_profile("photonstream")
# The processes that tests start are many: they do not compile the same modules again and again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).resolve().parents[1]
# Packages that are not part of this one; their tests run where they are installed.
EXTERNAL = ROOT / "tests" / "external"
EXTERNAL_DEVICE = ROOT / "tests" / "external_device"
collect_ignore = ["external", "external_device"]


def pytest_sessionstart(session):
    """Compile the kernels once, before there are workers that would all do so, and tests that would wait for it."""
    workers = getattr(session.config.option, "numprocesses", None)
    if workers and not hasattr(session.config, "workerinput"):
        warm_up()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Half as many again as there are cores: many tests wait for a process, a page or a device."""
    return 3 * (os.cpu_count() or 1) // 2 or 1


@pytest.fixture(scope="session")
def real_data():
    """The folder of real recordings."""
    named = os.environ.get("PHOTONSTREAM_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "PROVENANCE.tsv").exists():
        if named:
            pytest.fail(f"PHOTONSTREAM_DATA names {named}, which holds no PROVENANCE.tsv")
        pytest.skip("no folder of real recordings (PHOTONSTREAM_DATA)")
    return folder


@dataclass(frozen=True)
class Outsider:
    """A package with a node of its own, installed outside: its ``folder``, and the environment that finds it there.

    ``topology`` is a file with the standard line and that node.
    """

    folder: Path
    environment: dict[str, str]
    topology: Path


def install(package: Path, folder: Path) -> dict[str, str]:
    """Put ``package`` into ``folder`` as an installer would leave it; the environment that finds it there."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    shutil.copytree(package / "src", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    points = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in named.items())
        for group, named in project["entry-points"].items()
    ]
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    installed = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    record = [*installed, f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in record), encoding="utf-8")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="session")
def outsider(tmp_path_factory):
    """The package of tests/external as an installer would leave it, in a folder that only its environment knows."""
    folder = tmp_path_factory.mktemp("outsider")
    environment = install(EXTERNAL, folder)
    topology = tmp_path_factory.mktemp("topology") / "line.toml"
    parts = (ROOT / "docs" / "standard.toml", EXTERNAL / "node.toml")
    topology.write_text("\n".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    return Outsider(folder, environment, topology)


@pytest.fixture(scope="session")
def outside_device(tmp_path_factory):
    """The environment that finds the driver of tests/external_device, installed outside."""
    return install(EXTERNAL_DEVICE, tmp_path_factory.mktemp("outside_device"))
