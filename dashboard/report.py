"""report.html: one page that holds the whole result, made from the folder of a finished run alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bokeh.embed import components
from bokeh.model import Model

from photonstream.dashboard import calibration, coincidence, facts, opinions
from photonstream.dashboard.deeds import deeds_table, notes_said
from photonstream.dashboard.findings import Findings
from photonstream.dashboard.folder import ReportError, RunFolder, read_folder
from photonstream.dashboard.html import items, rows_table, section, text
from photonstream.dashboard.numbers import MS, number, quantity
from photonstream.dashboard.page import BASE_CSS, CSS, PAGE, POLICY, plot_library
from photonstream.dashboard.panels.coincidence import draw_coincidence
from photonstream.dashboard.panels.decay import draw_decay
from photonstream.dashboard.panels.dwell import draw_dwell
from photonstream.dashboard.panels.flid import draw_flid
from photonstream.dashboard.panels.histogram import draw_histogram
from photonstream.dashboard.panels.trace import draw_trace, trace_key
from photonstream.dashboard.recording_events import events_table, gap_spans, note_marks
from photonstream.dashboard.style import into_one_document, rate_axis
from photonstream.dashboard.systematics import WORDS, systematic_rows
from photonstream.dashboard.views import Decay, Trace, view_decay, view_trace
from photonstream.nodes.tables import write_atomically

__all__ = ["ReportError", "write_report"]

# Frames of the plots in pixels; together with their axes they fill the page's width.
TRACE_WIDTH, HISTOGRAM_WIDTH, FLID_WIDTH, RATE_HEIGHT = 610, 130, 250, 230
DECAY_HEIGHT = 400
PAIRS_WIDTH, PAIRS_HEIGHT = 460, 150
DWELL_WIDTH, DWELL_HEIGHT = 460, 200


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into the folder of a finished run, from what is in it; returns the page's path.

    Raises ReportError where the folder has no result.json or a file in it cannot be understood.
    """
    page = folder / "report.html"
    write_atomically(page, render(read_folder(folder)))
    return page


def render(run: RunFolder) -> str:
    """The page as HTML that needs nothing from outside itself."""
    findings = Findings(run)
    trace, decay = (
        view_trace(run.curve("trace")),
        view_decay(run.curve("decay"), fitted_s=run.section("fit").get("fit_range_s")),
    )
    drawn = _plots(run, findings, trace, decay)
    into_one_document(drawn.values())
    script, plots = components(drawn)
    # Bokeh can put the title of a colour bar only where it disturbs.
    plots["flid"] += "<i>bins</i>" if run.curve("flid").rows else ""
    warnings = items([*facts.discarded(run), *findings.warnings(), *calibration.warnings(run)])
    return PAGE.substitute(
        policy=POLICY,
        title=text(facts.title(run)),
        subtitle=text(facts.subtitle(run)),
        css=BASE_CSS + CSS,
        library=plot_library(),
        warnings=f'<div class="warnings">{warnings}</div>' if warnings else "",
        **plots,
        numbers=_numbers(run, findings),
        caption=_caption(run, findings, trace, decay),
        facts=_facts(run, findings, plots),
        footer=text(f"photonstream {run.summary.get('photonstream') or '(version unknown)'}."),
        script=script,
    )


def _plots(run: RunFolder, findings: Findings, trace: Trace, decay: Decay) -> dict[str, Model]:
    rates, window = rate_axis(trace.highest_kcps), facts.window_kcps(run)
    height, gaps_s = RATE_HEIGHT, gap_spans(run.summary.get("recording_events"))
    reason = findings.reason if findings.model == "none" else "no fit in decay.csv"
    plots: dict[str, Model] = {
        "trace": draw_trace(
            trace, window, rates, width=TRACE_WIDTH, height=height, gaps_s=gaps_s, notes=_notes(run)
        ),
        "histogram": draw_histogram(trace, window, rates, width=HISTOGRAM_WIDTH, height=height),
        "flid": draw_flid(run.curve("flid"), rates, width=FLID_WIDTH, height=height),
        "decay": draw_decay(decay, reason, width=TRACE_WIDTH, height=DECAY_HEIGHT),
    }
    pairs = run.curve("coincidences")
    if pairs.rows:
        centre_ns = coincidence.centre_ns(run)
        plots["pairs"] = draw_coincidence(pairs, centre_ns, width=PAIRS_WIDTH, height=PAIRS_HEIGHT)
    dwell = run.curve("dwell")
    if dwell.rows:
        plots["dwell"] = draw_dwell(dwell, width=DWELL_WIDTH, height=DWELL_HEIGHT)
    return plots


def _notes(run: RunFolder) -> list[tuple[float, str]]:
    return note_marks(run.summary.get("recording_events"), notes_said(run.path))


def _numbers(run: RunFolder, findings: Findings) -> str:
    first, *others = [*findings.rows(), *calibration.main_rows(run), *coincidence.main_rows(run)]
    remark = " · ".join(
        part for part in (first.remark, f"95 %: {first.interval}" if first.interval else "") if part
    )
    headline = "no beta" if first.value == "none" else f"β = {first.value}"
    below = text(first.label) + (f"<br>{text(remark)}" if remark else "")
    return (
        f'<p class="headline">{text(headline)}<small>{below}</small></p>'
        f'<p class="verdict">{text(findings.verdict)}</p>'
        f"{rows_table(others, intervals='95 % interval') if others else ''}"
    )


def _caption(run: RunFolder, findings: Findings, trace: Trace, decay: Decay) -> str:
    bin_s = number(run.section("intensity").get("bin_s"))
    bins = "bins" if bin_s is None else f"bins of {quantity(bin_s, MS)}"
    window = facts.selection_text(run)
    limits = f"dashed: limits of the window ({window})"
    if run.section("states").get("method") == "hmm":
        limits = f"{window} by lifetime gates and rates (hidden Markov)"
    elif window == "every rate":
        limits = "all of them"
    lost = "; red: the device lost data" if gap_spans(run.summary.get("recording_events")) else ""
    key = trace_key(trace.selected_states, trace.other_states)
    parts = {
        "a": f"Intensity in {bins}, selected: {limits}{lost}{'; violet: notes' if _notes(run) else ''}.",
        "b": "How often each intensity occurs; blue: selected bins.",
        "c": "Bins of the trace by intensity and mean delay of their photons; colour: number of bins.",
        "d": _decay_words(findings, decay),
        "e": "Results with standard errors σ and 95 % intervals.",
    }
    marks = {"a": f" {key.strip()}."}
    return " ".join(
        f"<b>{letter}</b>&ensp;{text(words)}{marks.get(letter, '')}" for letter, words in parts.items()
    )


def _decay_words(findings: Findings, decay: Decay) -> str:
    merged = f", {decay.merged} bins of the recording added up for each point" if decay.merged > 1 else ""
    if "fit" not in decay.model:
        return f"Decay of the selected photons (blue) and of all states (grey){merged}; no fit."
    black = "fit" if findings.model != "none" else "best fit, which was not accepted"
    parts = "its slow and fast component and background" if findings.model == "bi" else "its parts"
    shaded = "; shaded: not fitted" if decay.fitted_ns else ""
    return (
        f"Decay of the selected photons (blue) and of all states (grey){merged}; black: {black}, with {parts}{shaded}; "
        "below: residuals in standard deviations, dashed at ±2."
    )


# Below the pairs of photons.
_PAIRS = (
    "Pairs of photons on two detectors by the delay between them: all (grey) and those of which both photons are "
    "selected (blue); dashed: the centre, where photons of the same pulse are."
)


def _facts(run: RunFolder, findings: Findings, plots: Mapping[str, str]) -> str:
    parts = list(systematic_rows(run))
    details, about_pairs = list(findings.detail_rows()), list(coincidence.detail_rows(run))
    return "".join(
        (
            section("States", facts.states_table(run)),
            section("Calibration", calibration.calibration_html(run)),
            section(
                "Beside the statistical error", rows_table(parts), f"<p>{text(WORDS)}</p>", kind="remarks"
            )
            if parts
            else "",
            section("Dwell times", plots.get("dwell", ""), opinions.dwell_table(run)),
            section("Other selections", opinions.selections_table(run)),
            section("Fit in detail", rows_table(details, intervals="95 % interval, or expected"))
            if details
            else "",
            section(
                "Antibunching",
                plots.get("pairs", ""),
                f"<p>{text(_PAIRS)}</p>" if "pairs" in plots else "",
                rows_table(about_pairs, intervals="95 % interval"),
            )
            if about_pairs
            else "",
            section("Recording", rows_table(facts.recording_rows(run)), items(facts.notes(run))),
            section("Events of the recording", events_table(run)),
            section("What was done", deeds_table(run), kind="deeds"),
            section("Experiment", rows_table(facts.experiment_rows(run)))
            if run.section("experiment")
            else "",
            section("Ledger of events", facts.ledger_table(run)),
            section("Parameters", rows_table(facts.parameter_rows(run))) if run.section("parameters") else "",
            section("Versions and checksums", rows_table(facts.version_rows(run))),
        )
    )
