"""Whether a disturbed run came to the results of its recording: those of a replay in one thread."""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any


def replay(path: Path, out: Path) -> list[str]:
    """Replay the tag file ``path`` in this thread, into ``out``; what went wrong."""
    from photonstream.cli.main import main

    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main(["replay", str(path), "--headless", "--placement", "inline", "--out", str(out)])
    return [] if code == 0 else [f"a replay of {path} ends with code {code}: {said.getvalue().strip()}"]


def other_results(ours: Path, replayed: Path) -> list[str]:
    """In what the two result folders differ, but for how they were read."""
    results = [_comparable(folder) for folder in (ours, replayed)]
    wrong = []
    if results[0] != results[1]:
        keys = [
            key
            for key in sorted(results[0].keys() | results[1].keys())
            if results[0].get(key) != results[1].get(key)
        ]
        wrong.append(f"{ours / 'result.json'} differs from {replayed / 'result.json'} in {', '.join(keys)}")
    names = sorted({path.name for folder in (ours, replayed) for path in folder.glob("*.csv")})
    for name in names:
        pair = [folder / name for folder in (ours, replayed)]
        if not all(path.exists() for path in pair) or pair[0].read_bytes() != pair[1].read_bytes():
            wrong.append(f"{pair[0]} differs from {pair[1]}")
    return wrong


def _comparable(folder: Path) -> dict[str, Any]:
    result = _result(folder)
    del result["parameters"]["source"], result["restarts"]
    return result


def unbalanced(folder: Path, records: int) -> list[str]:
    """Where the ledger of the run in ``folder`` does not add up, or is not that of ``records`` records."""
    lines = {line["node"]: line for line in _result(folder)["ledger"]}
    wrong = []
    for name, line in lines.items():
        into, out = line["events_in"], line["events_out"] + line["events_lost"] + sum(line["ended"].values())
        if into != out or line["held"] or line["events_lost"]:
            wrong.append(
                f"{name}: {into} came in, {out} went out, ended or were lost ({line['events_lost']})"
            )
    read = lines["source"]["events_out"]
    if read != records or lines["decode"]["events_in"] != records:
        wrong.append(f"of {records} records {read} were read and {lines['decode']['events_in']} decoded")
    return [f"{folder / 'result.json'}: {each}" for each in wrong]


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result
