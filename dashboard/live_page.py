"""The live page around its plots: skeleton and look. What stands in it comes later, through `live_script`."""

from __future__ import annotations

from jinja2 import Template

from photonstream.dashboard.live_script import SCRIPT
from photonstream.dashboard.page import BASE_CSS

# Everything comes from the server of the page itself. Bokeh compiles its small callbacks, hence unsafe-eval.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)

CSS = """
html, body { height: 100%; }
main { display: flex; flex-direction: column; height: 100%; min-width: 1180px; min-height: 700px;
       padding: 10px 18px 6px 14px; }
header { display: grid; grid-template-columns: minmax(0, 1fr) auto; column-gap: 30px; }
h1 { font-size: 21px; line-height: 1.25; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
header p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; min-height: 1.45em; }
#state { color: var(--ink); font-weight: 600; text-align: right; margin: 4px 0 0; min-width: 560px; }
#notice { color: #b34700; text-align: right; }
button, select, input { font: inherit; font-size: 13px; color: var(--ink); background: #fff; height: 26px;
                        border: 1px solid #9a9a9a; border-radius: 3px; padding: 0 8px; }
button { cursor: pointer; }
button:hover, select:hover { border-color: var(--accent); }
:disabled { color: #9a9a9a; border-color: var(--line); cursor: default; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.clock { display: flex; align-items: center; gap: 12px; padding: 5px 0 7px; margin-bottom: 12px;
         border-bottom: 1.5px solid var(--ink); font-size: 13px; }
#pause { width: 74px; }
#bar { position: relative; flex: 1; height: 26px; cursor: pointer; }
#bar::before { content: ""; position: absolute; inset: 9px 0; background: #ececec; }
#bar:hover::before { background: #e0e0e0; }
#read { position: absolute; left: 0; top: 9px; bottom: 9px; background: var(--accent); }
#due { position: absolute; top: 4px; bottom: 4px; width: 2px; margin-left: -1px; background: var(--ink); }
#goto { position: absolute; top: -15px; transform: translateX(-50%); padding: 0 6px; background: #fff;
        border: 1px solid #9a9a9a; border-radius: 3px; font-size: 12px; white-space: nowrap; pointer-events: none;
        z-index: 3; }
#place { width: 150px; text-align: right; white-space: nowrap; }
#lag { width: 90px; color: #b34700; white-space: nowrap; }
.plots { flex: 1; min-height: 0; display: grid; grid-template-rows: 26px minmax(0, 38fr) minmax(0, 62fr);
         grid-template-columns: minmax(0, 38fr) minmax(0, 27fr) minmax(0, 35fr); column-gap: 10px; }
.window { grid-column: 1 / -1; display: flex; align-items: center; gap: 7px; font-size: 13px; padding-left: 30px; }
.window input { width: 66px; text-align: right; height: 24px; }
.window button { height: 24px; }
#window-note { color: var(--soft); margin-left: 4px; }
.rates { grid-column: 1 / -1; display: grid; grid-template-columns: minmax(0, 1fr) 170px 25%;
         column-gap: 8px; }
.panel { min-width: 0; min-height: 0; display: flex; flex-direction: column; }
.panel > b { top: -4px; }
.plot { position: relative; flex: 1; min-height: 0; }
.say { position: absolute; inset: 0 12% 30px 24%; display: flex; align-items: center; justify-content: center;
       text-align: center; color: #555; font-size: 13px; pointer-events: none; margin: 0; }
.say:empty { display: none; }
.flid .say { right: 24%; left: 8%; }
.unit { position: absolute; right: 14px; top: -11px; font-size: 12px; }
.residuals { flex: 0 0 34%; }
.numbers { padding: 2px 0 0 20px; overflow: hidden; }
.headline { white-space: nowrap; }
#beta-interval { font-size: 12px; color: var(--soft); margin-left: 8px; }
.headline small { white-space: nowrap; min-height: 1.4em; }
.verdict { margin: 5px 0 0; }
#reason { height: 2.6em; margin: 2px 0 2px; font-size: 12px; line-height: 1.3; color: var(--soft); overflow: hidden;
          display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
#numbers { flex: 1; min-height: 0; overflow: auto; }
#numbers table { table-layout: fixed; font-size: 12px; line-height: 1.3; }
#numbers td, #numbers tbody th { padding: 2px 6px 2px 0; }
#numbers thead th { padding: 0 0 1px; }
#numbers thead th:nth-child(1) { width: 43%; }
#numbers thead th:nth-child(2) { width: 33%; }
#problems { color: #b34700; font-size: 13px; }
#problems ul { margin: 0 0 8px; padding-left: 18px; }
footer { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--soft); font-size: 12px;
         border-top: 1px solid var(--line); padding-top: 5px; margin-top: 4px; white-space: nowrap; }
#ledger { min-width: 290px; }
#refused { min-width: 95px; }
#shares { margin-left: auto; text-align: right; }
.live #bar { visibility: hidden; }
.live .clock :is(#pause, label) { display: none; }
.catching-up .plots { opacity: 0.45; }
.catching-up #state, .deaf #state { color: #b34700; }
.deaf .clock :is(#pause, #bar, label), .deaf .window, .deaf :is(.trace, .histogram) { pointer-events: none; }
.deaf .clock :is(#pause, label), .deaf .window { opacity: 0.4; }
.cut #state::after { content: " The page has lost its server; it comes back by itself."; }
@media (min-height: 980px) { #reason { height: 5.2em; -webkit-line-clamp: 4; } }
@media (min-width: 1600px) { #numbers table { font-size: 13.5px; line-height: 1.4; } #reason { font-size: 13px; } }
.night { background: #000; }
.night main { filter: invert(0.9) hue-rotate(180deg); background: #fff; }
"""

# Places of plots: name of the root, and of the words that stand there when there is nothing to draw.
_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<link rel="icon" href="data:,">
<title>photonstream</title>
<style>{{ css }}</style>
<script src="static/js/bokeh.min.js"></script>
<script>{{ script }}</script>
</head>
<body>
{% macro plot(name) %}
{% for root in roots if root.name == name %}
<div class="plot {{ name }}" id="plot-{{ name }}">
<div id="{{ root.elementid }}" data-root-id="{{ root.id }}" style="display: contents;"></div>
<p class="say" id="say-{{ name }}"></p></div>
{% endfor %}
{% endmacro %}
<main>
<header>
<h1 id="title">photonstream</h1><p id="state">Starting.</p>
<p id="subtitle"></p><p id="notice" role="status"></p>
</header>
<div class="clock">
<button id="pause" type="button">pause</button>
<div id="bar" role="slider" aria-label="place in recorded time"><div id="read" style="width: 0"></div>
<div id="due" hidden></div><div id="goto" hidden></div></div>
<span id="place"></span>
<label>speed <select id="speed"></select></label>
<span id="lag"></span>
<button id="night" type="button" title="bright or dark page">dark</button>
</div>
<div id="problems"></div>
<div class="plots">
<div class="window">window <input id="low" inputmode="decimal" aria-label="lower rate in kcps"> to
<input id="high" inputmode="decimal" placeholder="open" aria-label="upper rate in kcps"> kcps
<button id="auto" type="button" title="let the program choose the neutral state">auto</button>
<span id="window-note"></span></div>
<div class="rates">
<div class="panel"><b>a</b>{{ plot("trace") }}</div>
<div class="panel"><b>b</b>{{ plot("histogram") }}</div>
<div class="panel"><b>c</b><span class="unit">bins</span>{{ plot("flid") }}</div>
</div>
<div class="panel"><b>d</b>{{ plot("decay") }}{{ plot("residuals") }}</div>
<div class="panel"><b>e</b>{{ plot("beta") }}{{ plot("tau_x_s") }}{{ plot("tau_xx_s") }}</div>
<div class="panel numbers"><b>f</b>
<p class="headline"><span id="beta">no beta</span><span id="beta-interval"></span>
<small id="beta-label"></small></p>
<p class="verdict" id="verdict"></p><p id="reason"></p>
<div id="numbers"></div></div>
</div>
<footer><span id="ledger"></span><span id="restarts"></span><span id="refused"></span><span id="epoch"></span>
<span id="link"></span><span id="latency"></span><span id="shares"></span></footer>
</main>
{{ plot_script }}
</body>
</html>
"""

PAGE = Template(_TEMPLATE)
# What the template is filled with besides what Bokeh gives it.
VARIABLES = {"policy": POLICY, "css": BASE_CSS + CSS, "script": SCRIPT}
