"""Makes every picture of the docs anew, from simulated nanocrystals: look at them before they are committed.

python -m tests.docs.pictures [NAME ...]        all, or those named, such as report.png
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.dashboard.shots import LONGEST_WAIT_MS, SCALE, shoot

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
COMMAND = (sys.executable, "-P", "-m", "photonstream.cli")
# Those that no program draws.
DRAWN_BY_HAND = ("data_way.svg",)
SIMULATE = ("simulate", "--seed", "2")
# A pulse that a scatterer sends back: all photons at once, as far as the simulation lets them.
AT_ONCE = ("--blinking=none", "--set=tau_xx_s=2e-12", "--set=tau_x_s=1e-11", "--set=irf_fwhm_s=0.4ns")


@dataclass(frozen=True)
class Picture:
    """What ``make`` writes; ``size`` is that of the window, in CSS pixels; a page may be higher."""

    make: Callable[[Path, tuple[int, int], Path], None]
    size: tuple[int, int]

    @property
    def width(self) -> int:
        """In pixels of the picture."""
        return round(SCALE * self.size[0])


def run(folder: Path, *words: str) -> None:
    """One command that ends by itself."""
    subprocess.run([*COMMAND, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def page_of(folder: Path, *words: str) -> Iterator[str]:
    """The address of the page of a command, which is ended after that."""
    command = [*COMMAND, *words, "--no-browser"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = iter(process.stdout or ())
            yield next(line.split()[1] for line in said if line.startswith("page: "))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def finished_page(picture: Path, size: tuple[int, int], folder: Path) -> None:
    """The live page of a recording that was read to its end, at a pace that gives a history."""
    run(folder, *SIMULATE, "355nm", "--time", "60s", "--out", "nc.ptu")
    with page_of(folder, "replay", "nc.ptu", "--speed", "5") as url:
        shoot(url, picture, size, "Complete")


def attached_page(picture: Path, size: tuple[int, int], folder: Path) -> None:
    """The dark page of a device at work, with its settings open."""
    with page_of(folder, "attach", "simulated:seed=2") as url:
        shoot(url, picture, size, "Live", dark=True, act=open_settings)


def open_settings(page: Page) -> None:
    """Once beta is known, and there are some seconds to be seen."""
    page.wait_for_function(
        "document.querySelector('#beta').innerText.includes('±')"
        " && parseFloat(document.querySelector('#place').innerText) > 15",
        timeout=LONGEST_WAIT_MS,
    )
    page.click("#settings")


def report(picture: Path, size: tuple[int, int], folder: Path) -> None:
    """The first sheet of the report of a recording."""
    run(folder, *SIMULATE, "355nm", "--time", "60s", "--out", "nc.ptu")
    run(folder, "replay", "nc.ptu", "--headless", "--out", "out")
    shoot((folder / "out" / "report.html").as_uri(), picture, size, "", whole=False)


def response(picture: Path, size: tuple[int, int], folder: Path) -> None:
    """The response of two detectors, as the light of a scatterer shows it."""
    run(folder, *SIMULATE, "640nm", *AT_ONCE, "--time", "10s", "--out", "scatter.ptu")
    run(folder, "irf", "scatter.ptu")
    shoot((folder / "scatter.irf.html").as_uri(), picture, size, "")


MADE = {
    "page.png": Picture(finished_page, (1280, 900)),
    "attach.png": Picture(attached_page, (1280, 900)),
    "report.png": Picture(report, (1220, 1200)),
    "response.png": Picture(response, (1220, 400)),
}


def main(names: list[str]) -> None:
    """Make them, each in a folder of its own."""
    for name in names or MADE:
        folder = Path(tempfile.mkdtemp(prefix="pictures-"))
        try:
            MADE[name].make(folder / name, MADE[name].size, folder)
            # A third of the size, and nobody sees it.
            with Image.open(folder / name) as drawn:
                drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
                    PICTURES / name, optimize=True
                )
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
