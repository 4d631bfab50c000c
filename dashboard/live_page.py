"""The live page around its plots: skeleton and look. What stands in it comes later, through `live_script`."""

from __future__ import annotations

from functools import cache

from jinja2 import Template

from photonstream.dashboard.controls import EXPERIMENT_FIELDS, FIELDS
from photonstream.dashboard.live_controls import CONTROLS_CSS, CONTROLS_HTML
from photonstream.dashboard.live_exports import EXPORTS_CSS
from photonstream.dashboard.live_figures import embedded_figures
from photonstream.dashboard.live_script import SCRIPT
from photonstream.dashboard.page import BASE_CSS, HELD_DRAGS, UNASKED_STYLES

# Everything comes from the server of the page itself. Bokeh compiles its small callbacks, hence unsafe-eval.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)

CSS = """
html, body { height: 100%; }
main { display: flex; flex-direction: column; height: 100%; min-width: 1180px; min-height: 700px;
       padding: 8px 18px 6px 14px; position: relative; }
header { display: flex; align-items: baseline; gap: 16px; white-space: nowrap; }
h1 { font-size: 19px; line-height: 1.3; overflow: hidden; text-overflow: ellipsis; flex: 0 1 auto; }
header p { overflow: hidden; text-overflow: ellipsis; margin: 0; flex: 1 1 0; min-width: 0; }
#state { color: var(--ink); font-weight: 600; text-align: right; flex: 0 1 auto; }
/* Over the bar of the replay, beside the buttons, and in nobody's way. */
#notice { position: absolute; top: 34px; left: 106px; z-index: 9; background: #fff; color: #b34700; padding: 0 8px;
          max-width: calc(100% - 560px); white-space: normal; pointer-events: none; }
#notice:not(:empty) { border: 1px solid #b34700; border-radius: 3px; padding: 3px 8px; }
button, select, input { font: inherit; font-size: 13px; color: var(--ink); background: #fff; height: 26px;
                        border: 1px solid #9a9a9a; border-radius: 3px; padding: 0 8px; }
button { cursor: pointer; }
button:hover, select:hover { border-color: var(--accent); }
:disabled { color: #9a9a9a; border-color: var(--line); cursor: default; }
:focus-visible, .plot:has(> [data-root-id]:focus-within) { outline: 2px solid var(--accent); outline-offset: 1px; }
.clock { display: flex; align-items: center; gap: 12px; padding: 4px 0 5px; border-bottom: 1.5px solid var(--ink);
         font-size: 13px; }
#pause { width: 74px; }
#bar { position: relative; flex: 1; height: 26px; cursor: pointer; }
#bar::before { content: ""; position: absolute; inset: 9px 0; background: #ececec; }
#bar:hover::before { background: #e0e0e0; }
#read { position: absolute; left: 0; top: 9px; bottom: 9px; background: var(--accent); }
#due { position: absolute; top: 4px; bottom: 4px; width: 2px; margin-left: -1px; background: var(--ink); }
#goto { position: absolute; top: -15px; transform: translateX(-50%); padding: 0 6px; background: #fff;
        border: 1px solid #9a9a9a; border-radius: 3px; font-size: 12px; white-space: nowrap; pointer-events: none;
        z-index: 3; }
#place { min-width: 130px; text-align: right; white-space: nowrap; }
.strip { display: grid; grid-template-columns: minmax(0, 36fr) minmax(0, 16fr) minmax(0, 15.5fr)
         minmax(0, 14fr) minmax(0, 20fr);
         grid-template-rows: auto auto; gap: 5px 14px; padding: 6px 0; margin-bottom: 6px;
         border-bottom: 1px solid var(--line); }
.strip > div { min-width: 0; overflow: hidden; white-space: nowrap; }
.strip .main { grid-row: 1 / span 2; align-self: center; }
.strip small { display: block; font-size: 12px; line-height: 1.3; color: var(--soft); overflow: hidden;
               text-overflow: ellipsis; min-height: 1.3em; }
.strip b { display: block; font-size: 20px; line-height: 1.15; font-weight: 500; overflow: hidden;
           text-overflow: ellipsis; }
.strip .main b { font-size: 38px; line-height: 1.15; font-weight: 600; letter-spacing: -0.01em; }
#beta-interval { font-size: 20px; line-height: 1.25; color: var(--ink); }
.plots { flex: 1; min-height: 0; display: grid; grid-template-rows: 26px minmax(0, 37fr) minmax(0, 63fr);
         grid-template-columns: minmax(0, 29fr) minmax(0, 22fr) minmax(0, 19fr) minmax(0, 30fr); column-gap: 10px; }
.window { grid-column: 1 / -1; display: flex; align-items: center; gap: 7px; font-size: 13px; padding-left: 30px; }
.window input { width: 66px; text-align: right; height: 24px; }
.window button { height: 24px; }
.window select { height: 24px; margin-right: 16px; }
#window-note { color: var(--soft); margin-left: 4px; min-width: 0; max-height: 26px; overflow: hidden; font-size: 12px;
               line-height: 13px; }
.rates { grid-column: 1 / -1; display: grid; grid-template-columns: minmax(0, 1fr) 170px 25%;
         column-gap: 8px; }
.panel { min-width: 0; min-height: 0; display: flex; flex-direction: column; position: relative; }
.panel > b { top: -4px; }
.stack { display: grid; grid-template-rows: 1fr 1fr; min-width: 0; min-height: 0; }
.plot { position: relative; flex: 1; min-height: 0; }
.say { position: absolute; inset: 0 12% 30px 24%; display: flex; align-items: center; justify-content: center;
       text-align: center; color: #555; font-size: 13px; pointer-events: none; margin: 0; }
.say:empty { display: none; }
.flid .say { right: 24%; left: 8%; }
.unit { position: absolute; right: 14px; top: -11px; font-size: 12px; }
.key { position: absolute; right: 8px; top: -10px; font-size: 11px; color: var(--soft); }
#trace-key { margin-left: auto; padding-right: 34px; font-size: 12px; color: var(--soft); white-space: nowrap; }
#trace-key i { display: inline-block; width: 9px; height: 9px; margin: 0 4px 0 9px; }
.residuals { flex: 0 0 38%; }
.numbers { padding: 2px 0 0 20px; overflow: hidden; }
#reason { max-height: 3.9em; margin: 0 0 6px; font-size: 12px; line-height: 1.3; color: var(--soft);
          overflow: hidden; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
          cursor: pointer; }
#reason:empty { display: none; }
/* A click or the keyboard opens what is cut off; the table below it makes room. */
#reason:focus { display: block; max-height: 80%; flex: none; overflow: auto; color: var(--ink); }
#numbers { flex: 1; min-height: 0; overflow: auto; }
#numbers table { table-layout: fixed; font-size: 11.5px; line-height: 1.25; }
#numbers td, #numbers tbody th { padding: 1.5px 6px 1.5px 0; }
#numbers .rows td:nth-child(2) { white-space: nowrap; }
#numbers thead th { padding: 0 0 1px; }
#numbers thead th:nth-child(1) { width: 30%; }
#numbers thead th:nth-child(2) { width: 36%; }
#problems { color: #b34700; font-size: 13px; }
#problems ul { margin: 0 0 8px; padding-left: 18px; }
footer { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--soft); font-size: 12px;
         border-top: 1px solid var(--line); padding: 4px 0 0; margin-top: 3px; white-space: nowrap; }
#shares { margin-left: auto; text-align: right; }
footer span:empty { display: none; }
.loud { color: #fff; background: #b34700; font-weight: 600; padding: 0 6px; border-radius: 2px; }
.strip .loud { color: #fff; display: inline-block; max-width: 100%; }
footer:has(.loud) { border-top: 3px solid #b34700; font-size: 14px; color: var(--ink); }
.live #bar { visibility: hidden; }
.live .clock :is(#pause, label) { display: none; }
/* What is superseded: without colour, in italics, with a striped edge and the word; as easy to read as before. */
.catching-up :is(.plots, .strip) { position: relative; font-style: italic; }
.catching-up #beta { text-indent: 4px; }
.catching-up .plot { filter: grayscale(1); }
.catching-up .strip b:not(.loud), .catching-up #numbers tbody { color: var(--soft); }
.catching-up :is(.plots, .strip)::before { content: ""; position: absolute; left: -14px; width: 8px; top: 0; bottom: 0;
  background: repeating-linear-gradient(135deg, #b34700 0 4px, transparent 4px 8px); }
.catching-up #beta-label::after { content: " · superseded"; color: #b34700; }
.catching-up #state, .deaf #state { color: #b34700; }
:is(.deaf, .silent) :is(.trace, .histogram) { pointer-events: none; }
:is(.watching, .deaf, .silent) :is(#pause, #bar, #speed, .window input, .window button, [data-field], .deeds *, #stop) {
  pointer-events: none; color: var(--soft); border-color: var(--line); }
:is(.watching, .deaf, .silent) :is(.clock, .window, #controls)
  :is(button:not(#take-over, #settings, #night), input, select:not(#span)) {
  background: #f2f2f2; }
#read-only { color: var(--soft); }
#silence { font-size: 14px; padding: 3px 8px; margin: 4px 0 0; }
/* What is said of now holds no more. */
.silent:not(.over) #state, .silent :is(#lag, #link, #latency, #shares) { display: none; }
@media (max-width: 1599px) { #shares { display: none; } }
@media (min-width: 1600px) {
  #numbers table { font-size: 14px; line-height: 1.45; }
  #reason { font-size: 14px; max-height: 10.4em; -webkit-line-clamp: 8; }
  .strip b { font-size: 31px; }
  .strip .main b { font-size: 60px; }
  #beta-interval { font-size: 29px; }
  .strip small { font-size: 15px; }
}
.discarded #problems { background: #b34700; color: #fff; font-weight: 600; padding: 3px 8px; margin-top: 4px; }
.discarded #problems ul { margin: 0; }
.discarded #beta { text-decoration: line-through; }
@media screen {
  .night { background: #000; }
  .night main { filter: invert(0.9) hue-rotate(180deg); background: #fff; }
}
"""

# Places of plots: name of the root, and of the words that stand there when there is nothing to draw.
_TEMPLATE = (
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<link rel="icon" href="data:,">
<title>photonstream</title>
<style>{{ css }}</style>
<script src="static/js/bokeh.min.js"></script>
{{ bokeh_settings }}
<script>{{ script }}</script>
</head>
<body>
{% macro plot(name) %}
<div class="plot {{ name }}" id="plot-{{ name }}" role="group"
aria-label="{{ plots[name] }}; keys: + and - zoom, arrows move, Escape shows all">
<div id="{{ places[name][0] }}" data-root-id="{{ places[name][1] }}" style="display: contents;"></div>
<p class="say" id="say-{{ name }}"></p></div>
{% endmacro %}
<main>
<header>
<h1 id="title">photonstream</h1><p id="subtitle"></p><span id="state">Starting.</span>
</header>
<p id="notice" role="status"></p>
<div class="clock">
<button id="pause" type="button">pause</button>
<div id="bar" role="slider" tabindex="0" aria-label="place in recorded time" aria-valuenow="0"
aria-valuemin="0" aria-valuemax="100"><div id="read" style="width: 0"></div>
<div id="due" hidden></div><div id="goto" hidden></div></div>
<span id="place"></span>
<label>speed <select id="speed"></select></label>
<span id="read-only" hidden>read-only</span>
<button id="take-over" type="button" title="another page acts; from here you only watch" hidden>take over</button>
<button id="settings" type="button" aria-expanded="false" aria-controls="controls">settings</button>
<button id="night" type="button" title="bright or dark page">dark</button>
</div>
<p id="silence" hidden><span id="silence-words" role="alert"></span> <span id="silence-time"></span></p>
<div id="problems"></div>
"""
    + CONTROLS_HTML
    + """
{% macro cell(name, label) %}
<div><small id="{{ name }}-label">{{ label }}</small><b id="{{ name }}">–</b><small id="{{ name }}-small"></small></div>
{% endmacro %}
<section class="strip">
<div class="main"><b id="beta">no beta</b><small id="beta-interval"></small><small id="beta-label"></small></div>
{{ cell("tau-x", "exciton lifetime τₓ") }}
{{ cell("tau-xx", "fast component lifetime τₓₓ") }}
<div><small>model</small><b id="model">not yet</b><small id="verdict"></small></div>
{{ cell("g2", "late g⁽²⁾(0)") }}
<div><small id="photons-label">photons fitted</small><b id="photons">–</b><small id="share"></small></div>
{{ cell("to-go", "still to measure") }}
{{ cell("rates", "detectors, last second") }}
{{ cell("recording", "recording") }}
</section>
<div class="plots">
<div class="window"><select id="span" aria-label="part of the trace">
<option value="">whole run</option><option value="60">last 60 s</option><option value="10">last 10 s</option>
<option value="2">last 2 s</option></select>
window <input id="low" inputmode="decimal" aria-label="lower rate in kcps"> to
<input id="high" inputmode="decimal" placeholder="open" aria-label="upper rate in kcps"> kcps
<button id="auto" type="button" title="let the program choose the neutral state">auto</button>
<span id="window-note"></span><span id="trace-key"></span></div>
<div class="rates">
<div class="panel"><b>a</b>{{ plot("trace") }}</div>
<div class="panel"><b>b</b>{{ plot("histogram") }}</div>
<div class="panel"><b>c</b><span class="unit">bins</span>{{ plot("flid") }}</div>
</div>
<div class="panel"><b>d</b>{{ plot("decay") }}{{ plot("residuals") }}</div>
<div class="panel"><b>e</b><span class="key">bands 68, 95 % &middot; dashed: Cramér–Rao</span>
{{ plot("beta") }}{{ plot("tau_x_s") }}{{ plot("tau_xx_s") }}</div>
<div class="stack"><div class="panel"><b>f</b>{{ plot("pairs") }}</div>
<div class="panel"><b>g</b>{{ plot("dwell") }}</div></div>
<div class="panel numbers"><b>h</b>
<p id="reason" tabindex="0"></p>
<div id="numbers"></div></div>
</div>
<footer><span id="ledger"></span><span id="lag"></span><span id="restarts"></span><span id="refused"
title="connections and messages that were not let in: keys that do not fit, another program at these ports (such as an
old page that looks for its run), a node's result that is none. They change nothing of the results."></span>
<span id="epoch"></span><span id="link"></span><span id="latency"></span><span id="shares"></span></footer>
</main>
{# What the session has is not drawn, but Bokeh wants a place for it. #}
{% for root in roots %}<div id="{{ root.elementid }}" hidden></div>{% endfor %}
<script>photonstream.draw({{ figures }})</script>
{{ plot_script }}
</body>
</html>
"""
)

PAGE = Template(_TEMPLATE)
# What each plot is, for who hears the page.
PLOTS = {
    "trace": "intensity against time",
    "histogram": "histogram of the intensity",
    "flid": "bins by mean delay and intensity",
    "decay": "decay of the selected photons with its fit",
    "residuals": "residuals of the fit",
    "beta": "beta against photons",
    "tau_x_s": "exciton lifetime against photons",
    "tau_xx_s": "lifetime of the fast component against photons",
    "pairs": "pairs of photons by their delay",
    "dwell": "density of dwell times",
}


@cache
def variables() -> dict[str, object]:
    """What the template is filled with besides what Bokeh gives it."""
    figures, places = embedded_figures()
    return {
        "policy": POLICY,
        "css": BASE_CSS + CSS + CONTROLS_CSS + EXPORTS_CSS,
        "bokeh_settings": HELD_DRAGS + UNASKED_STYLES,
        "script": SCRIPT,
        "fields": FIELDS,
        "experiment_fields": EXPERIMENT_FIELDS,
        "plots": PLOTS,
        "figures": figures,
        "places": places,
    }
