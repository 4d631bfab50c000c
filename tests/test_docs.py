"""What the docs show is true: every command is run, or parsed where the text says why it is not run."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from photonstream.cli.main import build_parser, main

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# In these pages a block is run unless the line before it says `<!-- parsed: why -->`; elsewhere blocks are parsed,
# since they run for minutes, need a device, another terminal or a package of the reader's.
RUN = ("index.md", "recording.md")
BLOCK = re.compile(r"(?P<parsed><!-- parsed: [^\n]+ -->\n)?^```\w*\n(?P<text>.*?)^```", re.M | re.S)


def commands(page: Path):
    """Each photonstream command of a page as its arguments, and whether it is to be run."""
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        run = page.parent.name == "docs" and page.name in RUN and not block["parsed"]
        for line in block["text"].splitlines():
            command = re.match(r"(?:\.venv/bin/)?photonstream\s+(.*)", line)
            if command:
                yield shlex.split(command[1], comments=True), run


SHOWN = [(page.name, arguments, run) for page in PAGES for arguments, run in commands(page)]


@pytest.mark.parametrize(
    ("page", "arguments"), [pytest.param(p, a, id=f"{p}: {shlex.join(a)}") for p, a, _ in SHOWN]
)
def test_a_command_is_understood(page, arguments):
    build_parser(arguments[0]).parse_args(arguments)


@pytest.mark.parametrize("arguments", [pytest.param(a, id=shlex.join(a)) for _, a, run in SHOWN if run])
def test_a_command_does_what_it_says(arguments, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "replay_data", tmp_path / "replay_data")
    shutil.copy(ROOT / "replay_data" / "nc_355nm.ptu", tmp_path / "recording.ptu")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    if arguments[0] == "replay":
        assert list(tmp_path.glob("runs/*/report.html"))


def test_the_site_is_whole_and_needs_no_internet(tmp_path):
    """Strict: a link or an anchor that leads nowhere, or a page that is not in the navigation, is an error."""
    site = tmp_path / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    fetched = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*href=\"?(?:https?:)?//|@import url\(.?http"
    )
    for page in site.rglob("*"):
        if page.suffix in (".html", ".css"):
            assert not fetched.search(page.read_text(encoding="utf-8")), page


def modules_by_folder():
    found = {}
    for layer in ("stream", "nodes", "dashboard", "cli"):
        for path in (ROOT / layer).rglob("*.py"):
            if not path.stem.startswith("__"):
                found.setdefault(f"{path.parent.relative_to(ROOT).as_posix()}/", set()).add(path.stem)
    return found


def test_the_design_names_every_module_and_no_other():
    folders = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Folders")[2]
    listed, known = {}, modules_by_folder()
    for line in re.search(r"```\n(.*?)```", folders, re.S)[1].splitlines():
        if not line.startswith(" "):
            folder = line.split()[0]
            listed[folder] = set()
        else:
            # Names stand at the beginning of a line or after a wide gap, words behind them likewise.
            for part in re.split(r" {2,}", line.strip()):
                names = part.split(" + ")
                if set(names) & known.get(folder, set()):
                    listed[folder].update(names)
    # The module of the command itself stands in the words of its folder.
    listed["cli/"].add("main")
    assert listed == known
