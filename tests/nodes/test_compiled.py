"""Compiled kernels are kept by the state of the source."""

import shutil
from pathlib import Path

import pytest
from numba import config

from photonstream.nodes import compiled


@pytest.fixture
def copy(tmp_path, monkeypatch):
    nodes = tmp_path / "nodes"
    for folder in ("kernels", "inference", "simulate"):
        shutil.copytree(
            compiled._NODES / folder, nodes / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(compiled, "_NODES", nodes)
    return nodes


def test_a_change_in_any_kernel_module_changes_the_hash(copy):
    before = compiled.source_hash()
    for path in sorted(copy.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(text + "\n", encoding="utf-8")
        assert compiled.source_hash() != before, path
        path.write_text(text, encoding="utf-8")
    assert compiled.source_hash() == before


def test_the_folder_is_the_users_and_named_by_the_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled, "user_cache", lambda: tmp_path)
    compiled.keep_kernels()
    assert Path(config.CACHE_DIR) == tmp_path / "photonstream" / f"kernels-{compiled.source_hash()}"


def test_a_wished_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    compiled.keep_kernels()
    assert str(tmp_path) == config.CACHE_DIR


def test_without_a_place_numba_keeps_its_own_ways(tmp_path, monkeypatch):
    (tmp_path / "photonstream").write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled, "user_cache", lambda: tmp_path)
    compiled.keep_kernels()
    assert config.CACHE_DIR == ""
