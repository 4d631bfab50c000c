"""Who may import whom: cli -> dashboard -> nodes -> stream, never back, and libraries where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("stream", "nodes", "dashboard", "cli")
# Libraries that only these modules may use.
ALLOWED = {
    "zmq": ("stream/link/", "stream/control.py", "stream/keys.py"),
    "msgpack": ("stream/wire.py",),
    "bokeh": ("dashboard/",),
    "matplotlib": ("dashboard/paper.py",),
}
PURE = ("nodes/kernels/", "nodes/inference/")


def modules():
    for layer in LAYERS:
        yield from sorted((ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of what a module imports."""
    package = ["photonstream", *path.relative_to(ROOT).with_suffix("").parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return names


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = path.relative_to(ROOT).as_posix()
    layer = LAYERS.index(here.split("/")[0])
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] not in (*LAYERS, "tests"), f"{here} imports {name}: write photonstream.{name}"
        if parts[0] == "photonstream" and len(parts) > 1:
            assert LAYERS.index(parts[1]) <= layer, f"{here} imports {name}, which stands above it"
            if here.startswith(PURE):
                # The table of record types is data about bits, which the decode kernels need.
                pure = (
                    "photonstream.nodes.kernels",
                    "photonstream.nodes.inference",
                    "photonstream.nodes.formats.records",
                )
                assert name.startswith(pure), f"{here} is pure and imports {name}"
        if parts[0] in ALLOWED:
            assert here.startswith(ALLOWED[parts[0]]), f"{here} may not import {parts[0]}"
