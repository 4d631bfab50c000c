"""The part of the page that saves a plot: as a picture (PNG, SVG), or its numbers (CSV)."""

from __future__ import annotations

from photonstream.dashboard.exports import tables_json

EXPORTS_CSS = """
.desk { position: fixed; top: 0; right: 100%; }
.save { position: absolute; left: 30px; bottom: 0; z-index: 4; display: flex; gap: 2px; opacity: 0; }
.plot:hover > .save, .save:focus-within { opacity: 1; }
.save button { height: 18px; padding: 0 5px; font-size: 10.5px; color: var(--soft); border-color: var(--line); }
.save button:hover { color: var(--accent); border-color: var(--accent); }
"""

EXPORTS_SCRIPT = (
    r"""
"use strict";
function onExports({place, model, plots}) {
  // Pixels of a PNG for one of the plot.
  const PNG_SCALE = 2;
  const TABLES = """
    + tables_json()
    + r""";

  function csv(name) {
    const {sources, columns: all, mark, marks} = TABLES[name];
    const columns = all.flatMap(([column, words, unit]) => {
      const key = words.match(/\{(.*)\}/)?.[1];
      if (key === undefined) return [[column, words, unit]];
      const {visible, label} = model(`legend ${key}`);
      return visible ? [[column, words.replace(`{${key}}`, label.value.replace(" ", "_")), unit]] : [];
    });
    const cell = value => Number.isFinite(value) ? String(value) : "";
    const first = words => mark ? [words] : [];
    const head = [[...first(mark), ...columns.map(c => c[1])], [...first(""), ...columns.map(c => c[2])]];
    const rows = sources.flatMap((source, k) => {
      const data = model(`source ${source}`).data;
      const row = (_, i) => [...first(marks[k]), ...columns.map(([column]) => cell(data[column]?.[i]))];
      return Array.from(data[columns[0][0]], row);
    });
    return new Blob([[...head, ...rows].map(row => row.join(",") + "\n").join("")], {type: "text/csv"});
  }

  // The plot as it is saved has its own view, off the screen, for as long as that takes.
  async function svg(name) {
    const desk = document.createElement("div");
    desk.className = "desk";
    document.body.append(desk);
    const drawn = await plots().views_manager.build_view(model(`saved ${name}`));
    drawn.build(desk);
    await drawn.ready;
    const picture = await drawn.export("svg").to_blob();
    drawn.remove();
    desk.remove();
    return picture;
  }

  async function png(name) {
    const drawn = new Image(), paper = document.createElement("canvas");
    drawn.src = URL.createObjectURL(await svg(name));
    await drawn.decode();
    URL.revokeObjectURL(drawn.src);
    [paper.width, paper.height] = [PNG_SCALE * drawn.width, PNG_SCALE * drawn.height];
    // A drawing begins half a pixel within its edge.
    const context = paper.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, paper.width, paper.height);
    context.drawImage(drawn, 0, 0, paper.width, paper.height);
    return new Promise(done => paper.toBlob(done, "image/png"));
  }

  const makers = {png, svg, csv};

  async function save(name, kind) {
    const link = document.createElement("a"), run = place("title").textContent.replace(/[^\w.-]+/g, "_");
    link.href = URL.createObjectURL(await makers[kind](name));
    link.download = `${run}_${name}.${kind}`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function listen() {
    for (const name of Object.keys(TABLES)) {
      const bar = document.createElement("div");
      bar.className = "save";
      for (const kind of Object.keys(makers)) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = kind.toUpperCase();
        button.title = `save this plot as ${kind.toUpperCase()}`;
        button.id = `save-${name}-${kind}`;
        button.addEventListener("click", () => save(name, kind));
        bar.append(button);
      }
      place(`plot-${name}`).append(bar);
    }
  }

  return {listen};
}
"""
)
