"""The drawer of the page in which a person sets the parameters of a run: its look and its part of the script."""

from __future__ import annotations

CONTROLS_CSS = """
#controls { position: absolute; top: 68px; right: 18px; width: 330px; z-index: 8; background: #fff; padding: 12px 16px;
            border: 1px solid #9a9a9a; border-radius: 4px; box-shadow: 0 4px 18px rgb(0 0 0 / 18%); font-size: 13px; }
#controls label { display: grid; grid-template-columns: minmax(0, 1fr) 118px 26px; align-items: center; gap: 6px;
                  padding: 3px 0; }
#controls :is(input, select) { width: 100%; min-width: 0; text-align: right; }
#controls select { grid-column: 2 / span 2; text-align: left; }
#controls p { margin: 8px 0; color: var(--soft); font-size: 12px; line-height: 1.35; }
#controls i { font-style: normal; color: var(--accent); }
#stop { width: 100%; }
#stop.sure { background: #b34700; color: #fff; border-color: #b34700; }
.deaf #controls { opacity: 0.5; pointer-events: none; }
"""

CONTROLS_HTML = """<section id="controls" aria-label="settings of the run" hidden>
{% for field in fields %}
<label title="{{ 'node ' ~ field.node ~ ', parameter ' ~ field.name }}">
<span>{{ field.words | e }}{% if field.anew %}<i>&thinsp;*</i>{% endif %}</span>
{% if field.choices %}<select id="set-{{ field.key }}" data-field="{{ field.key }}">
{% for value, words in field.choices %}<option value="{{ value }}">{{ words }}</option>{% endfor %}</select>
{% else %}<input id="set-{{ field.key }}" data-field="{{ field.key }}" autocomplete="off"
placeholder="{{ field.empty }}">
<span>{{ field.unit.name }}</span>{% endif %}</label>
{% endfor %}
<p><i>*</i> The recording is read again from its start; until it has caught up, the old results are shown pale.</p>
<button id="stop" type="button">stop the run</button>
</section>
"""

CONTROLS_SCRIPT = r"""
"use strict";
function onControls({place, wish}) {
  const SURE_MS = 4000;

  // What somebody is typing stays.
  function show(of) {
    for (const [key, text] of Object.entries(of)) {
      const field = place(`set-${key}`);
      field.dataset.shown = text;
      if (document.activeElement !== field) field.value = text;
    }
  }

  function unsure() {
    place("stop").classList.remove("sure");
    place("stop").textContent = "stop the run";
  }

  function stop() {
    const button = place("stop");
    if (button.classList.contains("sure")) {
      unsure();
      wish("stop", {});
      return;
    }
    button.classList.add("sure");
    button.textContent = "press again: it ends with what it has";
    setTimeout(unsure, SURE_MS);
  }

  function toggle() {
    place("controls").hidden = !place("controls").hidden;
    place("settings").setAttribute("aria-expanded", String(!place("controls").hidden));
  }

  function listen() {
    place("settings").addEventListener("click", toggle);
    place("stop").addEventListener("click", stop);
    for (const field of document.querySelectorAll("[data-field]")) {
      field.addEventListener("change", () => wish("set", {field: field.dataset.field, text: field.value}));
      field.addEventListener("keydown", event => {
        if (event.key === "Escape") field.value = field.dataset.shown;
        if (event.key === "Enter" || event.key === "Escape") field.blur();
      });
    }
  }

  return {show, listen};
}
"""
