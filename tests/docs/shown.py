"""The commands that README.md and docs/ show: every line of a fenced block that names no language."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
HOST = re.compile(r"on (?P<host>[\d.]+):")


@dataclass(frozen=True)
class Shown:
    """A command as its page shows it, without comment; ``toml`` is the last such block of the page before it.

    ``host`` is the machine where the page says that it is typed, "" where it says nothing.
    """

    words: tuple[str, ...]
    host: str
    toml: str

    @property
    def name(self) -> str:
        """What it is called in a report of tests."""
        return shlex.join(self.words)


def toml_of(page: str) -> list[str]:
    """The blocks of TOML of a page of docs/."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [block["text"] for block in BLOCK.finditer(text) if block["language"] == "toml"]


def commands_of(text: str) -> list[Shown]:
    """The commands of one page, in order."""
    found, toml = [], ""
    for block in BLOCK.finditer(text):
        if block["language"] == "toml":
            toml = block["text"]
        if block["language"]:
            continue
        host = ""
        for line in block["text"].splitlines():
            if at := HOST.match(line):
                host, line = at["host"], line[at.end() :]
            for words in split(line):
                by_topology = "--topology" in words or words[1] == "node"
                found.append(Shown(tuple(words), host, toml if by_topology else ""))
    return found


def split(line: str) -> list[list[str]]:
    """The commands of a line, which && joins."""
    found: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def all_commands() -> list[Shown]:
    """Those of every page, each once however often it is shown; where the program lies makes no difference."""
    found = [each for page in PAGES for each in commands_of(page.read_text(encoding="utf-8"))]
    plain = [
        Shown((each.words[0].removeprefix(".venv/bin/"), *each.words[1:]), each.host, each.toml)
        for each in found
    ]
    return list(dict.fromkeys(plain))
