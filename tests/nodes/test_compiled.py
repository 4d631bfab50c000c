"""Compiled kernels are kept by the state of the source."""

import os
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


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A user's folder that cannot be made, and an empty one for temporary files."""
    (tmp_path / "photonstream").write_text("a file where the folder should be", encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled, "user_cache", lambda: tmp_path)
    monkeypatch.setattr(compiled.tempfile, "gettempdir", lambda: str(temporary))
    return temporary


def test_without_a_home_the_folder_is_among_the_temporary_ones_and_ones_own(homeless):
    compiled.keep_kernels()
    own = homeless / f"photonstream-{os.getuid()}"
    assert Path(config.CACHE_DIR).is_relative_to(own)
    assert own.stat().st_mode & 0o777 == 0o700


def test_code_is_not_kept_where_others_may_write_it(homeless):
    own = homeless / f"photonstream-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    compiled.keep_kernels()
    assert config.CACHE_DIR == ""


def test_code_is_not_kept_behind_a_link(homeless, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (homeless / f"photonstream-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    compiled.keep_kernels()
    assert config.CACHE_DIR == ""
