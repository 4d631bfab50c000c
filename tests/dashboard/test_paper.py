"""Figures for a paper: their size, type and content, and what is left out where a run has no data of it."""

import pypdfium2
import pytest
from PIL import Image

from photonstream.dashboard import paper
from photonstream.dashboard.folder import read_folder

COLUMN_MM = 85.0
PT_PER_MM = 72 / 25.4


def pairs_csv(bins=400):
    rows = [f"{k - 200},{k - 199},{k % 7},{k % 5}" for k in range(bins)]
    return "\n".join(("delay_start,delay_stop,pairs,pairs_selected", "ns,ns,pairs,pairs", *rows)) + "\n"


@pytest.fixture
def figures(write_run, result):
    """The figures of a whole run, by name."""
    folder = write_run(result, coincidences=pairs_csv())
    written = paper.write_figures(read_folder(folder), folder / "figures")
    return {path.name: path for path in written}


def test_each_is_of_a_column_with_units_as_type(figures):
    axes = {
        "trace": ("Intensity (kcps)", "Time (s)", "Bins"),
        "flid": ("Mean delay (ns)", "Intensity (kcps)", "Bins"),
        "decay": ("Counts per 420 ps", "Residual (σ)", "Delay after the pulse (ns)", "fast component", "fit"),
        "g2": ("Pairs per 1 ns", "Delay between the photons (ns)", "selected pairs"),
    }
    assert sorted(figures) == sorted(f"{name}.{kind}" for name in axes for kind in ("pdf", "png"))
    for name, words in axes.items():
        page = pypdfium2.PdfDocument(figures[f"{name}.pdf"])[0]
        assert page.get_width() == pytest.approx(COLUMN_MM * PT_PER_MM, abs=0.1)
        text = page.get_textpage().get_text_range()
        assert all(word in text for word in words), (name, text)
        with Image.open(figures[f"{name}.png"]) as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert picture.width == pytest.approx(COLUMN_MM / 25.4 * 300, abs=1)


def test_nothing_but_points_and_lines_of_the_page_is_in_them(figures):
    """A vector figure has no pictures in it, and its colours are those of the page."""
    wanted = {
        "trace": {"#0072b2", "#9a9a9a"},
        "decay": {"#0072b2", "#009e73", "#d55e00", "#e69f00", "#1a1a1a"},
    }
    for name, colors in wanted.items():
        page = pypdfium2.PdfDocument(figures[f"{name}.pdf"])[0]
        assert not list(page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]))
        picture = page.render(scale=8).to_numpy()[..., ::-1]
        seen = {
            f"#{r:02x}{g:02x}{b:02x}" for r, g, b in {tuple(px) for px in picture.reshape(-1, 3).tolist()}
        }
        assert colors <= seen, name


def test_the_same_run_gives_the_same_files(figures, tmp_path):
    folder = next(iter(figures.values())).parent
    for again in paper.write_figures(read_folder(folder.parent), tmp_path / "again"):
        assert again.read_bytes() == figures[again.name].read_bytes(), again.name


def test_a_decay_without_a_fit_has_one_panel(write_run, result):
    decay = "time_start,time_stop,counts,counts_all_states\nns,ns,counts,counts\n0,1,5,6\n1,2,3,4\n"
    run = read_folder(write_run(result, decay=decay))
    (panel,) = paper.decay_figure(run).axes
    assert panel.get_xlabel() == "Delay after the pulse (ns)"


def test_what_a_run_has_no_data_of_is_left_out_and_its_old_figure_goes(write_run, result, figures):
    folder = next(iter(figures.values())).parent
    for name in ("trace", "flid", "decay", "coincidences"):
        (folder.parent / f"{name}.csv").unlink()
    assert paper.write_figures(read_folder(folder.parent), folder) == []
    assert list(folder.iterdir()) == []
