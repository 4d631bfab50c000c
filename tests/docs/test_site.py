"""The site can be built and read without the internet, and its account of the modules is whole."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
    for line in re.search(r"```text\n(.*?)```", folders, re.S)[1].splitlines():
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
