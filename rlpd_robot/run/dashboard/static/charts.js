// One chart: a title, uPlot's canvas, a caption. Colours come from the style sheet, so that they follow its scheme.
"use strict";

const HEIGHT = 210;
const OTHERS = 3;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 1000 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(3);
}

function seriesOf(line) {
  const base = { label: line.label, value: (_, value) => shown(value), spanGaps: true, points: { show: false } };
  switch (line.role) {
    case "dots":
      return { ...base, paths: () => null, points: { show: true, size: 4, width: 0, fill: colour("main") + "88" } };
    case "low":
    case "high":
      return { ...base, stroke: "transparent", width: 0 };
    case "demos":
      return { ...base, stroke: colour("demos"), width: 1.5, dash: [6, 4] };
    default:
      return { ...base, stroke: colour(line.role), width: 2 };
  }
}

function bandsOf(lines) {
  const low = lines.findIndex((line) => line.role === "low");
  const high = lines.findIndex((line) => line.role === "high");
  return low < 0 ? [] : [{ series: [high + 1, low + 1], fill: colour("band") }];
}

function rangeOf(chart) {
  return (_, low, high) => {
    const bottom = chart.low === null ? low : chart.low;
    const top = chart.high === null ? high : chart.high;
    if (!Number.isFinite(bottom) || !Number.isFinite(top)) return [0, 1];
    const span = top - bottom || Math.abs(top) || 1;
    return [chart.low === null ? bottom - 0.05 * span : bottom, top + 0.06 * span];
  };
}

class Chart {
  constructor(place) {
    this.box = document.createElement("div");
    this.box.className = "chart";
    this.title = this.box.appendChild(document.createElement("h3"));
    this.canvas = this.box.appendChild(document.createElement("div"));
    this.empty = this.box.appendChild(document.createElement("div"));
    this.empty.className = "empty";
    this.empty.textContent = "nothing recorded yet";
    this.caption = this.box.appendChild(document.createElement("p"));
    place.appendChild(this.box);
    this.plot = null;
    this.shape = "";
  }

  // others: [{run, x, y}], drawn beside this run's lines.
  show(chart, others) {
    this.title.textContent = chart.name;
    this.caption.textContent = chart.caption;
    const lines = chart.lines.concat(
      others.map((other, i) => ({ label: other.run, role: "other-" + (i % OTHERS), y: other.y })));
    const tables = [[chart.x, ...chart.lines.map((line) => line.y)], ...others.map((other) => [other.x, other.y])];
    const data = others.length ? uPlot.join(tables) : tables[0];
    const some = lines.some((line) => line.y.some((value) => value !== null));
    this.empty.hidden = some;
    this.canvas.hidden = !some;
    if (!some) return;
    const shape = lines.map((line) => line.role + line.label).join("|");
    if (this.plot === null || shape !== this.shape) this.begin(chart, lines, data, shape);
    else this.plot.setData(data);
  }

  begin(chart, lines, data, shape) {
    this.end();
    this.shape = shape;
    const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
    const short = (_, values) => values.map((v) => (Math.abs(v) >= 1000 ? v / 1000 + "k" : String(v)));
    this.plot = new uPlot({
      width: this.width(), height: HEIGHT,
      cursor: { drag: { x: true, y: false } },
      scales: { x: { time: false }, y: { range: rangeOf(chart) } },
      axes: [{ ...axis, values: short, size: 30 }, { ...axis, values: short, size: 52 }],
      series: [{ label: "step", value: (_, value) => (value === null ? "–" : String(value)) }, ...lines.map(seriesOf)],
      bands: bandsOf(lines),
    }, data, this.canvas);
  }

  width() {
    return Math.max(200, Math.floor(this.box.clientWidth - 24));
  }

  fit() {
    if (this.plot !== null) this.plot.setSize({ width: this.width(), height: HEIGHT });
  }

  end() {
    if (this.plot !== null) this.plot.destroy();
    this.plot = null;
  }
}
