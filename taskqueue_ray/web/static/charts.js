// Charts of the last minutes, which grow with each look at the queue, and of the last days.
"use strict";
window.taskqueueCharts = (() => {
  const SERIES = {
    rates: [["In", 1, "--in"], ["Out", 2, "--out"]],
    depth: [["Ready", 4, "--pending"], ["Running", 5, "--processing"], ["Later", 6, "--scheduled"]],
  };
  const MINUTES = 10;
  const HEIGHT = 200;
  const two = (one) => String(one).padStart(2, "0");
  const clock = (seconds, step) => {
    const at = new Date(seconds * 1000);
    if (step >= 43200) return at.toLocaleDateString("en", { day: "numeric", month: "short" });
    const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return step < 60 ? `${minutes}:${two(at.getSeconds())}` : minutes;
  };
  const open = new Map();
  const root = document.body.dataset.root;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

  const options = (place, series, extra = {}) => ({
    width: Math.max(place.clientWidth, 200),
    height: HEIGHT,
    legend: { live: true },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [
      { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", size: 30, space: 70, values: (_, all, __, ___, step) => all.map((one) => clock(one, step)) },
      { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", size: 40, values: (_, all) => all.map((one) => number.format(one)) },
    ],
    series: [
      {},
      ...series.map(([label, , name, more]) => ({
        label, stroke: colour(name), width: 1.75, points: { show: false },
        value: (_, one) => (one == null ? "–" : number.format(one)), ...more,
      })),
    ],
    ...extra,
  });

  const note = (place, words) => {
    let line = place.querySelector(".chart-note");
    if (!words) return line?.remove();
    if (!line) {
      line = document.createElement("p");
      line.className = "chart-note";
      place.append(line);
    }
    line.textContent = words;
  };

  const window_ = (columns, kind) => {
    const first = columns[0][columns[0].length - 1] - MINUTES * 60;
    const from = Math.max(0, columns[0].findIndex((at) => at >= first));
    return [columns[0].slice(from), ...SERIES[kind].map(([, place]) => columns[place].slice(from))];
  };

  const begin = async (place) => {
    const kind = place.dataset.chart;
    if (kind === "days") return beginDays(place);
    const query = place.dataset.queue ? `?queue=${encodeURIComponent(place.dataset.queue)}` : "";
    const answer = await fetch(`${root}/live/points${query}`);
    if (!answer.ok) return note(place, "No answer");
    const columns = await answer.json();
    const data = columns[0].length ? window_(columns, kind) : [[], ...SERIES[kind].map(() => [])];
    const held = open.get(place) ?? {};
    held.chart?.destroy();
    held.columns = columns;
    held.chart = new uPlot(options(place, SERIES[kind]), data, place);
    open.set(place, held);
    note(place, columns[0].length ? "" : "The first points come in a moment");
  };

  const beginDays = async (place) => {
    note(place, "Reading the history …");
    const answer = await fetch(`${root}/live/days`);
    if (!answer.ok) return note(place, "The history cannot be read now");
    const [times, completed, failed, cancelled, expired] = await answer.json();
    const all = times.map((_, n) => completed[n] + failed[n] + cancelled[n] + expired[n]);
    if (!all.some((one) => one)) return note(place, "No job has ended in the last 7 days");
    note(place, "");
    const bars = uPlot.paths.bars({ size: [0.7, 24], align: 1 });
    const fill = (name) => ({ paths: bars, fill: colour(name), width: 0 });
    const series = [["All", 1, "--out", fill("--out")], ["Failed", 2, "--failed", fill("--failed")]];
    const held = open.get(place) ?? {};
    held.chart?.destroy();
    const scales = { x: { range: (_, from, to) => [from, to + 3600] }, y: { range: (_, __, top) => [0, Math.max(1, top * 1.1)] } };
    held.chart = new uPlot(options(place, series, { scales }), [times, all, failed], place);

    open.set(place, held);
  };

  // A look of all queues brings its own point; charts of one queue ask for theirs.
  const point = (values) => {
    for (const [place, held] of open) {
      if (!place.isConnected) {
        held.chart.destroy();
        open.delete(place);
      } else if (place.dataset.chart === "days") {
        continue;
      } else if (place.dataset.queue) {
        begin(place).catch(() => {});
      } else if (values.length && held.columns) {
        if (held.columns[0].at(-1) >= values[0]) continue;
        values.forEach((one, n) => held.columns[n].push(one));
        held.chart.setData(window_(held.columns, place.dataset.chart));
        note(place, "");
      }
    }
  };

  const start = () => {
    for (const place of document.querySelectorAll("[data-chart]")) {
      if (!open.has(place)) begin(place).catch(() => note(place, "No answer"));
    }
  };
  const redraw = () => {
    for (const place of [...open.keys()]) if (place.isConnected) begin(place).catch(() => {});
  };
  const resize = () => {
    for (const [place, held] of open) {
      if (place.isConnected && place.clientWidth) held.chart.setSize({ width: place.clientWidth, height: HEIGHT });
    }
  };
  addEventListener("resize", resize);
  return { start, point, redraw };
})();
