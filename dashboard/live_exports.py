"""The part of the page that saves a plot: as a picture (PNG, SVG), or its numbers (CSV)."""

from __future__ import annotations

from photonstream.dashboard.exports import tables_json

EXPORTS_CSS = """
.save { position: absolute; left: 30px; bottom: 0; z-index: 4; display: flex; gap: 2px; opacity: 0; }
.plot:hover > .save, .save:focus-within { opacity: 1; }
.save button { height: 18px; padding: 0 5px; font-size: 10.5px; color: var(--soft); border-color: var(--line); }
.save button:hover { color: var(--accent); border-color: var(--accent); }
"""

EXPORTS_SCRIPT = (
    r"""
"use strict";
function onExports({place, model, view}) {
  const TABLES = """
    + tables_json()
    + r""";

  function csv(name) {
    const {sources, columns, mark, marks} = TABLES[name];
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

  // On white: a picture for a lab book has paper behind it, whatever the page looks like.
  async function png(name) {
    const drawn = view(name).export("png").canvas, paper = document.createElement("canvas");
    [paper.width, paper.height] = [drawn.width, drawn.height];
    const context = paper.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, paper.width, paper.height);
    context.drawImage(drawn, 0, 0);
    return new Promise(done => paper.toBlob(done, "image/png"));
  }

  const makers = {png, svg: name => view(name).export("svg").to_blob(), csv};

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
