"""The command that says how true the numbers are."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from photonstream.cli.main import main


def test_a_small_validation(tmp_path, capsys):
    out = tmp_path / "v"
    given = ["--beta", "0,0.257", "--photons", "2e4", "--blinking", "none", "--count", "2", "--out", str(out)]
    assert main(["validate", *given, "--jobs", "1"]) == 0
    table = capsys.readouterr().out
    assert "b 0.257 20000 none 30k" in table
    cells = json.loads((out / "validation.json").read_text(encoding="utf-8"))["cells"]
    assert [cell["cell"]["beta"] for cell in cells] == [0.0, 0.257]
    assert cells[0]["bias"]["value"] is None
    assert cells[1]["sigma"] == pytest.approx(0.0237, rel=0.03)
    assert cells[1]["bi"]["value"] == 1.0
    page = (out / "validation.html").read_text(encoding="utf-8")
    assert "4 simulated nanocrystals in 2 cells" in page
    # The same seeds give the same figures, however many processes share the work.
    assert main(["validate", *given[:-1], str(tmp_path / "w"), "--jobs", "2"]) == 0
    capsys.readouterr()
    assert (tmp_path / "w" / "validation.json").read_bytes() == (out / "validation.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--beta", "1.01"], "a beta of 1.01 cannot be simulated"),
        (["--blinking", "sometimes"], "no blinking 'sometimes'"),
        (["--count", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words, capsys):
    assert main(["validate", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="ends processes by signals")
def test_who_ends_it_has_what_was_done_so_far(tmp_path):
    given = ["--beta", "0.257", "--photons", "1e4", "--blinking", "none", "--count", "500", "--jobs", "1"]
    command = [
        sys.executable,
        "-P",
        "-m",
        "photonstream.cli",
        "validate",
        *given,
        "--out",
        str(tmp_path / "v"),
    ]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        assert any("nanocrystal" in line for line in iter(run.stdout.readline, ""))
        # As a terminal does: to all of its processes.
        os.killpg(run.pid, signal.SIGINT)
        said = run.communicate(timeout=120)[0]
    finally:
        run.kill()
    assert run.returncode == 130
    assert "Traceback" not in said
    count = int(re.search(r"ended after (\d+) of 500 nanocrystals", said)[1])
    (cell,) = json.loads((tmp_path / "v" / "validation.json").read_text(encoding="utf-8"))["cells"]
    assert 0 < cell["count"] == count
