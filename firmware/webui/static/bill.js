// Plots of the month's bill, drawn by uPlot from the tables that stand beside them. Without this script the tables say the same.
"use strict";

(() => {
  if (!("uPlot" in window)) return;
  const DAY = 86400;
  const MOST_NAMES = 10;
  const LETTERS = 22;
  const language = document.documentElement.lang;
  const drawn = [];

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = () => `12px ${getComputedStyle(document.body).fontFamily}`;
  const money = (currency) => {
    const written = new Intl.NumberFormat(language, { style: "currency", currency });
    const small = new Intl.NumberFormat(language, { style: "currency", currency, maximumFractionDigits: 4 });
    return (value) => (value == null ? "–" : (Math.abs(value) < 0.1 ? small : written).format(value));
  };
  // A month of few calls has an axis of parts of a minute.
  const minutes = (value) => {
    if (value == null) return "–";
    return `${new Intl.NumberFormat(language, { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 }).format(value)} min`;
  };
  const rows = (figure) => {
    const table = document.getElementById(figure.dataset.table);
    const all = [...table.tBodies[0].rows].filter((row) => row.dataset.currency !== undefined);
    return figure.dataset.currency ? all.filter((row) => row.dataset.currency === figure.dataset.currency) : all;
  };
  const daysOf = (figure) => {
    const [year, month] = document.getElementById(figure.dataset.table).dataset.month.split("-").map(Number);
    const first = Date.UTC(year, month - 1, 1) / 1000;
    const count = Math.round((Date.UTC(year, month, 1) / 1000 - first) / DAY);
    return Array.from({ length: count }, (_, day) => first + day * DAY);
  };
  const byDay = (figure, name) => {
    const days = daysOf(figure);
    const values = days.map(() => 0);
    for (const row of rows(figure)) {
      const place = days.indexOf(Date.parse(`${row.dataset.day}T00:00:00Z`) / 1000);
      if (place >= 0) values[place] += Number(row.dataset[name]);
    }
    return [days, values];
  };
  const running = (values) => {
    let sum = 0;
    return values.map((value) => (sum += value));
  };
  const axis = (more) => ({ stroke: style("--muted"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: font(), ...more });
  const dayAxis = () => axis({
    grid: { show: false },
    incrs: [1, 2, 5, 7, 10].map((days) => days * DAY),
    space: 34,
    values: (_, splits) => splits.map((at) => new Date(at * 1000).getUTCDate()),
  });
  const wide = (labels) => (_, values) => (values == null ? 60 : 14 + Math.max(...values.map((text) => String(text).length)) * (labels || 7));
  const zeroUp = (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1];
  const said = (at) => new Intl.DateTimeFormat(language, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(at * 1000));
  const cursor = { points: { show: false }, drag: { setScale: false, x: false, y: false } };

  const days = (figure, width) => {
    const seconds = figure.dataset.value === "seconds";
    const [xs, ys] = byDay(figure, figure.dataset.value);
    const write = seconds ? minutes : money(figure.dataset.currency);
    return [{
      width, height: 190, cursor, padding: [12, 8, 0, 0],
      scales: { x: { time: true, range: [xs[0] - DAY / 2, xs[xs.length - 1] + DAY / 2] }, y: { range: zeroUp } },
      axes: [dayAxis(), axis({ values: (_, splits) => splits.map(write), size: wide() })],
      series: [{ value: (_, at) => (at == null ? "" : said(at)), label: "" }, {
        label: figure.dataset.title, fill: style("--accent"), stroke: style("--accent"), width: 0,
        paths: uPlot.paths.bars({ size: [0.7, 34] }), points: { show: false }, value: (_, value) => write(value),
      }],
    }, [xs, seconds ? ys.map((value) => value / 60) : ys]];
  };

  const savings = (figure, width) => {
    const [xs, paid] = byDay(figure, "paid");
    const [, dearest] = byDay(figure, "dearest");
    const write = money(figure.dataset.currency);
    const line = (label, color, fill) => ({ label, stroke: color, fill, width: 2, points: { show: false }, value: (_, value) => write(value) });
    return [{
      width, height: 210, cursor, padding: [12, 8, 0, 0],
      scales: { x: { time: true }, y: { range: zeroUp } },
      axes: [dayAxis(), axis({ values: (_, splits) => splits.map(write), size: wide() })],
      series: [{ value: (_, at) => (at == null ? "" : said(at)), label: "" }, line(figure.dataset.dearest, style("--bad")), line(figure.dataset.paid, style("--accent"), style("--accent-soft"))],
    }, [xs, running(dearest), running(paid)]];
  };

  const names = (figure, width) => {
    const found = rows(figure).filter((row) => Number(row.dataset.cost) > 0).slice(0, MOST_NAMES);
    const labels = found.map((row) => (row.dataset.name.length > LETTERS ? `${row.dataset.name.slice(0, LETTERS - 1)}…` : row.dataset.name));
    const write = money(figure.dataset.currency);
    const xs = found.map((_, place) => place);
    const label = Math.min(170, Math.floor(width * 0.42));
    return [{
      width, height: 46 + found.length * 30, cursor: { show: false }, legend: { show: false }, padding: [8, 24, 0, 0],
      scales: { x: { time: false, ori: 1, dir: -1, range: [-0.5, found.length - 0.5] }, y: { ori: 0, dir: 1, range: zeroUp } },
      axes: [
        axis({ side: 3, size: label, splits: () => xs, values: () => labels, grid: { show: false } }),
        axis({ side: 2, space: 80, values: (_, splits) => splits.map(write) }),
      ],
      series: [{}, { fill: style("--accent"), stroke: style("--accent"), width: 0, paths: uPlot.paths.bars({ size: [0.6, 20] }), points: { show: false } }],
    }, [xs, found.map((row) => Number(row.dataset.cost))]];
  };

  const kinds = { days, savings, names };
  const draw = (figure) => {
    const width = Math.floor(figure.clientWidth);
    if (width < 120 || rows(figure).length === 0) return;
    const [options, data] = kinds[figure.dataset.kind](figure, width);
    figure.replaceChildren();
    drawn.push(new uPlot(options, data, figure));
  };
  const drawAll = () => {
    for (const plot of drawn.splice(0)) plot.destroy();
    for (const figure of document.querySelectorAll("figure.bill-plot")) draw(figure);
  };

  for (const figure of document.querySelectorAll("figure.bill-plot")) {
    figure.classList.add("alive");
    const beside = figure.parentElement.querySelector("details");
    if (beside !== null) beside.open = false;
  }
  drawAll();
  let wait = 0;
  window.addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(drawAll, 150);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
