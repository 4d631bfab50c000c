"""The page around the figure: its skeleton, and how it looks on screen and on paper."""

from __future__ import annotations

from string import Template

from bokeh.resources import Resources

# Nothing may be fetched: whatever is shown is in the file. Bokeh compiles its small callbacks, hence unsafe-eval.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
)

# Bokeh takes a button that is held for .3 s for a press, of which our plots know nothing, and forgets the drag after
# it.
HELD_DRAGS = '<script>Bokeh.require("core/ui_gestures").UIGestures.press_threshold = 2 ** 31 - 1;</script>'

# At each drawing Bokeh asks the style sheets for every colour and font of every axis, for which the browser has to lay
# out the page in between. Ours say nothing of them, and the size of its letters stays; the live page is drawn ten times
# a second.
UNASKED_STYLES = """<script>
Bokeh.require("core/visuals/visual").VisualProperties.prototype._get_css_value = () => "";
(plot => {
  const asked = Object.getOwnPropertyDescriptor(plot, "base_font_size").get;
  Object.defineProperty(plot, "base_font_size", {get() { return this.base_font ??= asked.call(this); }});
})(Bokeh.require("models/plots/plot_canvas").PlotView.prototype);
</script>"""

# What every page of ours looks like.
BASE_CSS = """
/* A browser that darkens pages by itself would leave the plots bright. */
:root { color-scheme: only light; --ink: #1a1a1a; --soft: #5f6368; --line: #d9d9d9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 14px/1.45 Helvetica, Arial, sans-serif;
       font-variant-numeric: tabular-nums; }
h1 { font-size: 24px; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
header p { margin: 2px 0 0; color: var(--soft); overflow-wrap: anywhere; }
.panel { position: relative; }
.panel > b { position: absolute; left: 0; top: -6px; font-size: 17px; z-index: 2; }
.headline { font-size: 27px; line-height: 1.15; margin: 0; }
.headline small { display: block; font-size: 13px; line-height: 1.4; color: var(--soft); margin-top: 2px; }
.verdict { margin: 8px 0 6px; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { font-weight: 400; text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-size: 12px; border-bottom: 1px solid var(--ink); padding: 2px 8px 3px 0; }
tbody tr { border-bottom: 1px solid var(--line); }
td, tbody th { padding: 3px 10px 3px 0; vertical-align: top; overflow-wrap: anywhere; }
.rows td { white-space: normal; }
td.figure { white-space: nowrap !important; }
.rows tbody th { color: var(--soft); overflow-wrap: normal; }
.rows th small { display: block; color: var(--soft); font-size: 12px; line-height: 1.35; max-width: 46ch; }
.numbers .rows thead th:first-child { width: 40%; }
.numbers .rows tbody th { color: var(--ink); }
.numbers .rows td { overflow-wrap: break-word; }
"""

# The report, on screen and on paper.
CSS = """
main { width: 1200px; margin: 0 auto; padding: 22px 10px 40px; }
header { border-bottom: 1.5px solid var(--ink); padding-bottom: 8px; margin-bottom: 14px; }
h2 { font-size: 14px; font-weight: 600; margin: 0 0 6px; }
figure { margin: 0; }
.row { display: flex; gap: 0; align-items: flex-start; }
.panel > i { position: absolute; right: 22px; top: -9px; font-size: 12px; font-style: normal; }
.decay { width: 690px; flex: none; }
.numbers { flex: 1; margin-left: 22px; padding: 0 0 0 26px; }
.rows thead th:first-child { width: 46%; }
figcaption { margin: 10px 0 20px; font-size: 13px; line-height: 1.5; }
figcaption i { display: inline-block; width: 9px; height: 9px; margin: 0 4px 0 6px; print-color-adjust: exact; }
.warnings { border-left: 4px solid #d55e00; padding: 2px 12px; margin: 0 0 14px; }
.warnings ul { margin: 0; padding-left: 16px; }
.facts { columns: 2; column-gap: 40px; border-top: 1.5px solid var(--ink); padding-top: 14px; }
.facts section { break-inside: avoid; margin-bottom: 20px; }
.facts .rows tbody th { width: 42%; }
.facts .remarks tbody th { width: 72%; }
.facts .remarks small { max-width: none; }
.facts .rows thead + tbody td { overflow-wrap: break-word; }
.facts p { color: var(--soft); font-size: 12px; margin: 4px 0 8px; }
.facts ul { margin: 0; padding-left: 16px; font-size: 13px; overflow-wrap: anywhere; }
.grid td:first-child { overflow-wrap: break-word; }
.grid td:not(:first-child):not(:last-child) { white-space: nowrap; }
.deeds .grid td:nth-child(4) { white-space: normal; }
footer { color: var(--soft); font-size: 12px; border-top: 1px solid var(--line); padding-top: 8px; }
noscript p { border: 1px solid var(--line); padding: 12px; }
@page { size: A4 portrait; margin: 11mm; }
@media print {
  main { zoom: 0.585; padding: 0; }
  .screen { display: none; }
  td, tbody th { padding-top: 1.5px; padding-bottom: 1.5px; }
  tr, figure, .facts section > div { break-inside: avoid; }
  h2, thead { break-after: avoid; }
  .numbers { margin-left: 10px; padding-left: 20px; }
  .facts section { break-inside: auto; margin-bottom: 14px; }
  /* A heading does not hold on to a plot by itself. */
  .facts section:has(> div) { break-inside: avoid; }
}
"""

# $script holds Bokeh's own code and the plots; every other field is text already escaped or made of such.
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=1220">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$css</style>
$library
</head>
<body>
<main>
<header><h1>$title</h1><p>$subtitle</p></header>
$warnings
<figure>
<noscript><p>The plots need JavaScript; the numbers below do not.</p></noscript>
<div class="row">
<div class="panel"><b>a</b>$trace</div>
<div class="panel"><b>b</b>$histogram</div>
<div class="panel"><b>c</b>$flid</div>
</div>
<div class="row">
<div class="panel decay"><b>d</b>$decay</div>
<div class="panel numbers"><b>e</b>
$numbers
</div>
</div>
<figcaption>$caption</figcaption>
</figure>
<div class="facts">$facts</div>
<footer>$footer
<span class="screen">Point at a plot to read values, drag to zoom, double-click to see all.</span></footer>
</main>
$script
</body>
</html>
""")


def plot_library() -> str:
    """Bokeh's code for a page that needs nothing from outside itself."""
    return Resources(mode="inline", components=["bokeh"]).render_js() + HELD_DRAGS
