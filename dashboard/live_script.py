"""The live page's own script: shows what it is sent, says what a person wants, and tells when it is ready for more.

It knows nothing of the run: every word and number comes from the server. What it changes in the plots it keeps to
itself (``sync: false``), so that nothing of it goes back.
"""

from __future__ import annotations

from photonstream.dashboard.live_controls import CONTROLS_SCRIPT
from photonstream.dashboard.live_exports import EXPORTS_SCRIPT
from photonstream.dashboard.live_window import WINDOW_SCRIPT

_PAGE_SCRIPT = r"""
"use strict";
const photonstream = (() => {
  const NOTICE_MS = 8000, RETRY_MS = 1000, WATCH_MS = 500, NEXT_MS = 120000;
  // The server owes a word at least every two seconds; this is a silence.
  const SILENCE_MS = 6000;
  const SILENT = "The page's server says nothing: what is shown is old.";
  const GONE = "The page's server is gone: what is shown is old. Once it is started again, the page comes back.";
  const BARRED = "The page's server was started anew, and this page's link is not valid any more: open the link that "
    + "photonstream printed then. What is shown is old.";
  const OVER = "The page's server has ended, too.";
  const NEXT = "The next recording is being started: the page comes back with it.";
  const NO_NEXT = "The next recording has not begun, see the terminal; once it does, the page comes back.";
  const IN_STRIP = ".strip :is(b, small)", LEAST_PX = 9, NEARLY = 0.9999;
  const SPEEDS = [0.1, 0.5, 1, 2, 5, 10, 30, 100];
  const TYPES = {f8: Float64Array, f4: Float32Array, i4: Int32Array};
  const place = id => document.getElementById(id);
  const models = new Map();
  const axes = new Map();
  const held = new Set();
  let exchange = null, plots = null, said = 0, wishes = 0, end_s = null, speed = NaN;
  // When the server was heard last; from when on it has been its turn, null while it is this page's; the last look.
  let heard_ms = Date.now(), owed_ms = null, looked_ms = Date.now();

  // What arrives

  function sections(buffer) {
    const view = new DataView(buffer), found = [];
    for (let at = 0; at < buffer.byteLength;) {
      const length = view.getUint32(at, true), head = view.getUint32(at + 4, true), body = at + 8 + head;
      const array = ([offset, size, type]) => {
        const bytes = size * TYPES[type].BYTES_PER_ELEMENT;
        return new TYPES[type](buffer.slice(body + offset, body + offset + bytes));
      };
      const text = new TextDecoder().decode(new Uint8Array(buffer, at + 8, head));
      found.push(JSON.parse(text, (_, v) => v !== null && typeof v === "object" && "array" in v ? array(v.array) : v));
      at += 8 + length;
    }
    return found;
  }

  function model(name) {
    if (!models.has(name)) models.set(name, plots.get_model_by_name(name));
    return models.get(name);
  }

  const put = (name, attributes) => model(name).setv(attributes, {sync: false});

  function setAxis(name) {
    const [start, end] = axes.get(name), axis = model(`axis ${name}`);
    if (axis.start !== start || axis.end !== end) axis.setv({start, end}, {sync: false});
  }

  function each(of, act) {
    for (const [name, value] of Object.entries(of)) act(name, value);
  }

  function fill(id, key, value) {
    const element = place(id);
    if (element[key] !== value) element[key] = value;
  }

  // All digits are equally wide: what differs in them alone needs no other size.
  const shaped = words => words.replace(/\d/g, "0");

  // What is too long for its place in the strip is written smaller, not cut, as long as one can read it.
  function fit(element) {
    element.shape = shaped(element.textContent);
    element.style.fontSize = "";
    // In parts of a pixel: half of one too much, and a browser cuts off a letter.
    const {fontSize, paddingLeft, paddingRight} = getComputedStyle(element), words = document.createRange();
    words.selectNodeContents(element);
    const padding = parseFloat(paddingLeft) + parseFloat(paddingRight);
    const share = () => (element.getBoundingClientRect().width - padding) / words.getBoundingClientRect().width;
    for (let size = parseFloat(fontSize); size > LEAST_PX && share() < NEARLY;) {
      size = Math.max(LEAST_PX, Math.min(size - 1, Math.floor(share() * size)));
      element.style.fontSize = `${size}px`;
    }
  }

  function write(id, words) {
    const element = place(id);
    if (element.textContent === words) return;
    element.textContent = words;
    if (element.shape !== shaped(words) && element.matches(IN_STRIP)) fit(element);
  }

  function alarm(id, on) {
    const element = place(id);
    if (element.classList.contains("loud") === on) return;
    element.classList.toggle("loud", on);
    if (element.matches(IN_STRIP)) fit(element);
  }

  const deeds = {
    data: of => each(of, (name, data) => model(`source ${name}`).setv({data}, {sync: false, check_eq: false})),
    ranges: of => each(of, (name, ends) => {
      axes.set(name, ends);
      if (!held.has(name)) setAxis(name);
    }),
    models: of => each(of, put),
    say: of => each(of, (name, words) => fill(`say-${name}`, "textContent", words)),
    text: of => each(of, write),
    html: of => each(of, (id, html) => fill(id, "innerHTML", html)),
    title: of => each(of, (id, words) => fill(id, "title", words)),
    classes: showClasses,
    loud: of => each(of, alarm),
    bar: showBar,
    speed: showSpeed,
    window: of => band.show(of),
    device: of => controls.showDevice(of),
    fields: of => controls.show(of),
    deeds: of => controls.showDeeds(of),
    notice: showNotice,
    back: of => controls.giveBack(of),
    tab: () => {},
  };

  function showClasses(of) {
    const superseded = document.body.classList.contains("catching-up");
    each(of, (name, on) => document.body.classList.toggle(name, on));
    // What is superseded is in italics, which have another width.
    if (document.body.classList.contains("catching-up") !== superseded) {
      document.querySelectorAll(IN_STRIP).forEach(fit);
    }
  }

  function take(buffer) {
    [heard_ms, owed_ms] = [Date.now(), null];
    showSilence();
    const came_ms = performance.now(), found = sections(buffer);
    const {number, heard, role} = found[0].tab;
    document.body.classList.toggle("watching", role !== "acting");
    place("take-over").hidden = role !== "watching";
    place("read-only").hidden = role !== "read-only";
    for (const section of found) {
      // What was sent before the last wish arrived is not what the person wants any more.
      if (heard < wishes) {
        delete section.window;
        delete section.fields;
      }
      each(section, (deed, of) => deeds[deed](of));
    }
    document.title = `${place("title").textContent} – photonstream`;
    // The second frame from here comes after this one was drawn; none comes while the page is hidden.
    requestAnimationFrame(() => requestAnimationFrame(
      () => ready(number, 1e-3 * (performance.now() - came_ms))));
  }

  function ready(number, took_s = null) {
    owed_ms = Date.now();
    say("ready", number, {took_s});
  }

  function say(kind, value, more = {}) {
    said += 1;
    exchange.said = {kind, value, number: said, ...more};
  }

  // The bar of recorded time, and how fast it goes

  function showBar({read, place: due, end_s: end}) {
    end_s = end;
    place("read").style.width = `${100 * read}%`;
    place("bar").setAttribute("aria-valuenow", String(Math.round(100 * read)));
    place("bar").setAttribute("aria-valuetext", place("place").textContent);
    place("due").hidden = due === null;
    if (due !== null) place("due").style.left = `${100 * due}%`;
  }

  function pointed(event) {
    const box = place("bar").getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  }

  function showGoto(event) {
    const label = place("goto");
    label.hidden = end_s === null;
    if (end_s === null) return;
    const share = pointed(event);
    label.style.left = `${100 * share}%`;
    label.textContent = `go to ${(share * end_s).toFixed(1)} s`;
  }

  // A hundredth of the recording with an arrow, a tenth with a page key.
  function stepped(event) {
    const steps = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10,
                   Home: -100, End: 100};
    if (!(event.key in steps) || end_s === null) return;
    event.preventDefault();
    const to = Number(place("bar").getAttribute("aria-valuenow")) + steps[event.key];
    wish("seek", {time_s: Math.min(100, Math.max(0, to)) / 100 * end_s});
  }

  function showSpeed(value) {
    if (value === speed) return;
    speed = value;
    const select = place("speed");
    const values = [...new Set([...SPEEDS, ...(value === null ? [] : [value])])].sort((a, b) => a - b);
    select.replaceChildren(...[...values.map(String), "max"].map(name => new Option(
      name === "max" ? "max" : `${name} ×`, name, false, name === (value === null ? "max" : String(value)))));
  }

  function showNotice(words) {
    fill("notice", "textContent", words);
    clearTimeout(showNotice.timer);
    showNotice.timer = setTimeout(() => fill("notice", "textContent", ""), NOTICE_MS);
  }

  function wish(name, values) {
    wishes += 1;
    say("wish", {name, values, number: wishes});
  }

  const view = name => Bokeh.index.find_one(model(name));
  const band = onWindow({place, model, put, view, wish, notice: showNotice});
  const exports = onExports({place, model, plots: () => plots});

  const controls = onControls({place, wish});

  // Zooming

  // A zoom along one axis gives the other one back changed in its last digits.
  const alike = (a, b) => Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));

  function zoomed(plot) {
    for (const axis of [plot.x_range, plot.y_range]) {
      const name = axis.name.replace("axis ", ""), usual = axes.get(name);
      if (usual === undefined || !alike(axis.start, usual[0]) || !alike(axis.end, usual[1])) held.add(name);
    }
    const {start, end} = model("axis time");
    if (plot.name === "trace") say("view", [start, end]);
  }

  // What the trace shows unless somebody zooms: all of it, or the last seconds.
  const usual = () => place("span").value === "" ? null : Number(place("span").value);

  function whole() {
    const wasPart = held.has("time");
    held.clear();
    for (const name of axes.keys()) setAxis(name);
    if (wasPart) say("view", usual());
  }

  // A plot that has the focus is zoomed along its x axis about the middle, or moved by a quarter of what it shows.
  function keyed(event) {
    const name = event.currentTarget.id.replace("plot-", ""), plot = model(name), range = plot.x_range;
    if (event.target.closest(".save") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      event.preventDefault();
      return whole();
    }
    const zooms = {"+": 0.5, "=": 0.5, "-": 2}, moves = {ArrowLeft: -0.25, ArrowRight: 0.25};
    const all = axes.get(range.name.replace("axis ", ""));
    if (all === undefined || !(event.key in zooms || event.key in moves)) return;
    event.preventDefault();
    const logarithmic = plot.x_scale.type === "LogScale";
    const [to, from] = logarithmic ? [Math.log, Math.exp] : [x => x, x => x];
    const [low, high, start, end] = [...all, range.start, range.end].map(to);
    const width = Math.min(high - low, (end - start) * (zooms[event.key] ?? 1));
    const middle = (start + end) / 2 + (moves[event.key] ?? 0) * width;
    const left = Math.min(high - width, Math.max(low, middle - width / 2));
    range.setv({start: from(left), end: from(left + width)}, {sync: false});
    zoomed(plot);
  }

  function showSpan() {
    for (const name of ["time", "rates"]) {
      held.delete(name);
      if (axes.has(name)) setAxis(name);
    }
    say("view", usual());
  }

  // Life of the page

  function listen() {
    window.addEventListener("resize", () => document.querySelectorAll(IN_STRIP).forEach(fit));
    band.listen();
    controls.listen();
    exports.listen();
    place("pause").addEventListener("click",
      () => wish(document.body.classList.contains("paused") ? "resume" : "pause", {}));
    place("speed").addEventListener("change", event => {
      const value = event.target.value;
      speed = NaN;
      wish("speed", {speed: value === "max" ? null : Number(value)});
    });
    place("bar").addEventListener("pointermove", showGoto);
    place("bar").addEventListener("pointerleave", () => { place("goto").hidden = true; });
    place("bar").addEventListener("click", event => {
      if (end_s !== null) wish("seek", {time_s: pointed(event) * end_s});
    });
    place("bar").addEventListener("keydown", stepped);
    place("take-over").addEventListener("click", () => wish("take over", {}));
    place("span").addEventListener("change", showSpan);
    document.querySelectorAll(".plot").forEach(plot => plot.addEventListener("keydown", keyed));
    place("night").addEventListener("click", () => setNight(!document.body.classList.contains("night")));
  }

  function setNight(on) {
    document.body.classList.toggle("night", on);
    fill("night", "textContent", on ? "bright" : "dark");
    localStorage.setItem("photonstream-night", on ? "1" : "");
  }

  // The plots are in a document of their own, of which the server knows nothing.
  let drawing = null;

  function draw([documents, items]) {
    drawing = Bokeh.embed.embed_items(documents, items);
  }

  async function start(shared) {
    exchange = shared;
    const [views] = await drawing;
    plots = views.roots[0].model.document;
    setNight(localStorage.getItem("photonstream-night") === "1");
    listen();
    setInterval(watch, WATCH_MS);
    ready(0);
  }

  // A server that is stopped says nothing, nor does anybody else say so for it.
  function watch() {
    const now_ms = Date.now(), slept = now_ms - looked_ms > SILENCE_MS;
    looked_ms = now_ms;
    // Of a page that slept itself nobody knows who was silent.
    if (slept && owed_ms !== null) owed_ms = now_ms;
    showSilence();
  }

  function showSilence() {
    const on = name => document.body.classList.contains(name);
    const silent = on("cut") || (owed_ms !== null && Date.now() - owed_ms > SILENCE_MS);
    document.body.classList.toggle("silent", silent);
    place("silence").hidden = !silent;
    place("silence").classList.toggle("loud", !on("over"));
    if (!silent) return;
    const late = Date.now() - heard_ms > NEXT_MS;
    const end = on("over") ? (on("followed") ? (late ? NO_NEXT : NEXT) : OVER) : null;
    fill("silence-words", "textContent", end ?? (on("barred") ? BARRED : on("cut") ? GONE : SILENT));
    fill("silence-time", "textContent", end === OVER ? "" : `Nothing has come for ${spoken(Date.now() - heard_ms)}.`);
  }

  function spoken(ms) {
    const s = Math.round(ms / 1000);
    if (s < 120) return `${s} s`;
    return s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
  }

  // The server of the page is gone: when it answers again, there is a new page to be had, by whoever has its token.
  function lost() {
    document.body.classList.add("cut");
    showSilence();
    const again = barred => {
      document.body.classList.toggle("barred", barred);
      setTimeout(lost, RETRY_MS);
    };
    fetch("static/js/bokeh.min.js", {method: "HEAD", cache: "no-store"})
      .then(answer => { if (answer.ok) location.reload(); else again(answer.status === 403); })
      .catch(() => again(false));
  }

  return {draw, start, take, zoomed, whole, lost};
})();
"""

SCRIPT = WINDOW_SCRIPT + CONTROLS_SCRIPT + EXPORTS_SCRIPT + _PAGE_SCRIPT
