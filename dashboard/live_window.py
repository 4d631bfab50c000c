"""The part of the page's script that moves the on window: a band over trace and histogram, dragged or typed."""

from __future__ import annotations

# What it needs of the page comes as ``page``. Rates in kcps: [low, high], with null for an open end.
WINDOW_SCRIPT = r"""
"use strict";
function onWindow({place, model, put, view, wish, notice}) {
  const DRAG_MS = 100, NEAR_PX = 7, FAR = 20, MOVED_PX = 4;
  // ``idle``: something else selects at present; the limits are there to be taken hold of.
  let band = null, drag = null, idle = false;

  function show({band: next, auto, idle: unused}) {
    place("auto").disabled = auto;
    if (drag !== null) return;
    idle = unused;
    setBand(next);
  }

  // What somebody is typing stays, unless it is the field given up.
  function setBand(next, givenUp) {
    band = next;
    const [low, high] = next ?? [0, null];
    const bounded = next !== null && (low > 0 || high !== null);
    // An open end lies beyond what the axis shows; much further away, a canvas draws the other end elsewhere.
    const far = FAR * model("axis rates").end;
    for (const plot of ["trace", "histogram"]) {
      put(`${plot} band`, {visible: bounded && !idle, bottom: low > 0 ? low : -far, top: high ?? far});
      put(`${plot} low`, {visible: bounded && low > 0, location: low, line_alpha: idle ? 0.35 : 1});
      put(`${plot} high`, {visible: bounded && high !== null, location: high ?? 0, line_alpha: idle ? 0.35 : 1});
    }
    const shown = rate => rate === null ? "" : String(Number(rate.toPrecision(3)));
    for (const [id, rate] of [["low", next === null ? null : low], ["high", high]]) {
      if (id === givenUp || document.activeElement !== place(id)) place(id).value = shown(rate);
    }
  }

  function frame(name) {
    const plot = view(name), box = plot.el.getBoundingClientRect(), {left, top, width, height} = plot.frame.bbox;
    const {start, end} = model("axis rates");
    return {
      inside: event => event.clientX >= box.left + left && event.clientX <= box.left + left + width,
      y: rate => box.top + top + height * (end - rate) / (end - start),
      rate: event => end - (event.clientY - box.top - top) / height * (end - start),
      start, end,
    };
  }

  // What a press at this place would move: "low", "high", "both", or nothing.
  function grip(name, event) {
    const area = frame(name);
    if (band === null || !area.inside(event) || document.body.classList.contains("watching")) return null;
    const [low, high] = band, y = event.clientY;
    const bottom = area.y(low), top = area.y(high ?? area.end);
    const toLow = Math.abs(y - bottom), toHigh = Math.abs(y - top);
    if (Math.min(toLow, toHigh) <= NEAR_PX) return toLow <= toHigh ? "low" : "high";
    return high !== null && y < bottom && y > top ? "both" : null;
  }

  function dragged(event) {
    const {part, from, rate, area} = drag;
    const now = Math.min(area.end, Math.max(0, area.rate(event)));
    const least = (area.end - area.start) / 200;
    let [low, high] = from;
    if (part === "low") low = Math.min(now, (high ?? area.end) - least);
    if (part === "high") high = now >= area.end - least ? null : Math.max(now, low + least);
    if (part === "both") {
      const shift = Math.max(now - rate, -low);
      [low, high] = [low + shift, high + shift];
    }
    const round = x => x === null ? null : Number(Math.max(0, x).toPrecision(4));
    return [round(low < least ? 0 : low), round(high)];
  }

  // What is pressed here may become a move of the window, a zoom along the time, or a click: the first pixels tell.
  function press(name, event) {
    const part = event.button === 0 && event.isTrusted ? grip(name, event) : null;
    if (part === null) return;
    event.stopPropagation();
    event.preventDefault();
    const area = frame(name);
    drag = {part, from: band, rate: area.rate(event), area, sent: 0, press: event, plot: event.composedPath()[0]};
    document.activeElement?.blur();
  }

  // The plot hears only now of the press.
  function handBack() {
    const {press, plot} = drag;
    drag = null;
    plot.dispatchEvent(new PointerEvent("pointerdown", press));
  }

  function move(name, event) {
    // Let go of outside, before anything had moved.
    if (drag !== null && event.buttons === 0) drag = null;
    if (drag === null) {
      const part = grip(name, event);
      place(`plot-${name}`).style.cursor = part === null ? "" : part === "both" ? "grab" : "ns-resize";
      return;
    }
    if (drag.press !== null) {
      const across = Math.abs(event.clientX - drag.press.clientX), along = Math.abs(event.clientY - drag.press.clientY);
      if (Math.max(across, along) < MOVED_PX) return event.stopPropagation();
      if (across > along) return handBack();
      drag.press = null;
      place(`plot-${name}`).setPointerCapture(event.pointerId);
    }
    event.stopPropagation();
    idle = false;
    setBand(dragged(event));
    if (performance.now() - drag.sent >= DRAG_MS) {
      drag.sent = performance.now();
      wish("window", {kcps: band});
    }
  }

  function release(event) {
    if (drag === null) return;
    if (drag.press !== null) return handBack();
    event.stopPropagation();
    const moved = String(drag.from) !== String(band);
    drag = null;
    if (moved) wish("window", {kcps: band});
  }

  function typed(id) {
    const text = place(id).value.trim().replace(",", "."), [low, high] = band ?? [0, null];
    const next = id === "low" ? [Number(text), high] : [low, text === "" ? null : Number(text)];
    if (!(next[0] >= 0) || (next[1] !== null && !(next[1] > next[0]))) {
      notice("A window rises from 0 kcps or more; leave its end empty to keep it open.");
      setBand(band);
      return;
    }
    idle = false;
    setBand(next);
    wish("window", {kcps: band});
  }

  function listen() {
    for (const name of ["trace", "histogram"]) {
      const element = place(`plot-${name}`);
      element.addEventListener("pointerdown", event => press(name, event), {capture: true});
      element.addEventListener("pointermove", event => move(name, event), {capture: true});
      element.addEventListener("pointerup", release, {capture: true});
      element.addEventListener("pointercancel", release, {capture: true});
    }
    for (const id of ["low", "high"]) {
      place(id).addEventListener("keydown", event => {
        if (event.key === "Escape") setBand(band, id);
        if (event.key === "Enter" || event.key === "Escape") place(id).blur();
      });
      place(id).addEventListener("change", () => typed(id));
    }
    place("auto").addEventListener("click", () => wish("window", {kcps: "auto"}));
  }

  return {show, listen};
}
"""
