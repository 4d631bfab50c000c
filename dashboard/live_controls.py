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
#controls { max-height: calc(100% - 80px); overflow: auto; }
.deeds { display: grid; grid-template-columns: minmax(0, 1fr) 84px; gap: 6px; padding-bottom: 8px; margin-bottom: 6px;
         border-bottom: 1px solid var(--line); }
#controls .deeds input { text-align: left; }
#device { border-top: 1px solid var(--line); margin: 6px 0; padding-top: 6px; }
#device summary { cursor: pointer; }
.deeds :is(#keep, #next) { grid-column: 1 / -1; }
#stop { width: 100%; }
:is(#stop, #next).sure { background: #b34700; color: #fff; border-color: #b34700; }
"""

CONTROLS_HTML = """<section id="controls" aria-label="settings of the run" hidden>
<div class="deeds">
<input id="note" maxlength="1000" autocomplete="off" placeholder="what happens now" aria-label="note">
<button id="put-note" type="button" title="into the run's log, and beside a recording that is being made">note</button>
<input id="why" maxlength="1000" autocomplete="off" placeholder="why it is not to be counted"
aria-label="why the run is discarded">
<button id="discard" type="button" title="marks the result; nothing is deleted">discard</button>
<button id="keep" type="button" hidden>keep it after all</button>
<button id="next" type="button" disabled>next particle</button>
</div>
{% macro rows(fields) %}
{% for field in fields %}
<label title="{{ 'node ' ~ field.node ~ ', parameter ' ~ field.name }}">
<span>{{ field.words | e }}{% if field.anew %}<i>&thinsp;*</i>{% endif %}</span>
{% if field.choices %}<select id="set-{{ field.key }}" data-field="{{ field.key }}">
{% for value, words in field.choices %}<option value="{{ value }}">{{ words }}</option>{% endfor %}</select>
{% else %}<input id="set-{{ field.key }}" data-field="{{ field.key }}" autocomplete="off"
placeholder="{{ field.empty }}">
<span>{{ field.unit.name }}</span>{% endif %}</label>
{% endfor %}
{% endmacro %}
{{ rows(fields) }}
{{ rows(experiment_fields) }}
<p><i>*</i> The recording is read again from its start; until it has caught up, the old results are shown without
colour, as superseded.</p>
<details id="device" hidden><summary></summary>
<p>A device is armed with its settings: a change holds from the next recording on (next particle).</p>
<div></div></details>
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

  // Which settings a device has is known once its run says so.
  function showDevice(of) {
    const part = place("device"), list = part.querySelector("div");
    part.hidden = of === null;
    const {name, rows, now} = of ?? {name: "", rows: [], now: {}};
    part.querySelector("summary").textContent = `device: ${name}`;
    const keys = rows.map(([key]) => key).join();
    if (list.dataset.keys !== keys) {
      list.dataset.keys = keys;
      list.replaceChildren(...rows.map(deviceRow));
    }
    for (const [key, text] of Object.entries(now)) {
      place(`now-${key}`).textContent = text && ` (now: ${text})`;
    }
  }

  function deviceRow([key, name, words, unit]) {
    const label = document.createElement("label"), text = document.createElement("span");
    const now = document.createElement("i"), field = document.createElement("input");
    const last = document.createElement("span");
    label.title = `setting ${name} of the device`;
    now.id = `now-${key}`;
    text.append(words, now);
    field.id = `set-${key}`;
    field.dataset.field = key;
    field.autocomplete = "off";
    field.placeholder = "not set";
    attend(field);
    last.textContent = unit;
    label.append(text, field, last);
    return label;
  }

  let allowed = {discarded: false, next: false, recorded: false};

  function showDeeds(of) {
    allowed = of;
    place("keep").hidden = !of.discarded;
    place("next").disabled = !of.next;
    place("next").title = !of.next ? "no device is recorded here" : of.recorded ? "begins another recording"
      : "ends the recording, writes its result, begins another";
    label("next");
    label("stop");
  }

  const LABELS = {
    next: of => !of.next ? "next particle (attach only)" : of.recorded ? "start next particle" : "next particle",
    stop: of => of.recorded ? "end the program" : "stop the run",
  };

  function label(name) {
    if (!place(name).classList.contains("sure")) place(name).textContent = LABELS[name](allowed);
  }

  // A deed that begins or ends something is done at the second press.
  function twice(name, warning) {
    const button = place(name);
    const unsure = () => {
      button.classList.remove("sure");
      label(name);
    };
    button.addEventListener("click", () => {
      if (button.classList.contains("sure")) {
        unsure();
        wish(name, {});
        return;
      }
      button.classList.add("sure");
      button.textContent = warning(allowed);
      setTimeout(unsure, SURE_MS);
    });
  }

  // A deed with a text: by its button, or Enter in the text.
  function spoken(field, button, name, key) {
    const input = place(field);
    const give = () => {
      wish(name, {[key]: input.value});
      // What is not done comes back.
      input.value = "";
    };
    place(button).addEventListener("click", give);
    input.addEventListener("keydown", event => { if (event.key === "Enter") give(); });
  }

  function toggle() {
    place("controls").hidden = !place("controls").hidden;
    place("settings").setAttribute("aria-expanded", String(!place("controls").hidden));
  }

  // Escape in a field takes back what was typed there; the next one closes the drawer.
  function escape(event) {
    if (event.key !== "Escape" || event.defaultPrevented || place("controls").hidden) return;
    toggle();
    place("settings").focus();
  }

  function listen() {
    place("settings").addEventListener("click", toggle);
    document.addEventListener("keydown", escape);
    twice("stop", of => of.recorded ? "press again: photonstream ends" : "press again: it ends with what it has");
    twice("next", of => of.recorded ? "press again: a recording begins" : "press again: this recording ends");
    spoken("note", "put-note", "note", "text");
    spoken("why", "discard", "discard", "why");
    place("keep").addEventListener("click", () => wish("keep", {}));
    document.querySelectorAll("[data-field]").forEach(attend);
  }

  function attend(field) {
    field.addEventListener("change", () => wish("set", {field: field.dataset.field, text: field.value}));
    field.addEventListener("keydown", event => {
      if (event.key === "Escape" && field.value !== field.dataset.shown) {
        field.value = field.dataset.shown;
        event.preventDefault();
      }
      if (event.key === "Enter") field.blur();
    });
  }

  function giveBack([field, text]) {
    if (place(field).value === "") place(field).value = text;
  }

  return {show, showDevice, showDeeds, giveBack, listen};
}
"""
