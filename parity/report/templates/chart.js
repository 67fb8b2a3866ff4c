// The chart of one case: the error of each layer in execution order.

const CONFIG = {
  responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
};
const look = () => ({
  paper_bgcolor: "transparent",
  plot_bgcolor: "transparent",
  font: { family: theme("sans"), size: 12, color: theme("ink") },
  hovermode: "closest",
  hoverlabel: { align: "left", bgcolor: theme("card"), bordercolor: theme("line"),
    font: { color: theme("ink") } },
  legend: { orientation: "h", x: 0, y: 1.03, yanchor: "bottom" },
  // Upright in the right margin, so that the buttons never lie on the legend.
  modebar: { orientation: "v", bgcolor: "transparent", color: theme("soft"),
    activecolor: theme("accent") },
});
const axis = () => ({
  color: theme("soft"), gridcolor: theme("grid"), zeroline: false, linecolor: theme("line"),
});

// Plotly reads some HTML in its texts.
const text = (raw) => String(raw).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function hover(record) {
  const { path, call, output, module_class: type, source, mode, kind, verdict } = record;
  return [
    `<b>${text(path || MODEL)}</b>`,
    text(`call ${call}, output ${output}, ${kind}${type ? `, ${type}` : ""}`),
    source && text(source),
    `${mode}: relative L2 ${number(record.rel_l2)}, tolerance ${number(record.tolerance)}`,
    `used ${percent(record.share)}, noise ratio ${number(record.noise_ratio)}`,
    `max abs ${number(record.max_abs)}, gain ${number(record.gain)}`,
    `<b>${verdict}</b>${record.reason ? ` ${text(record.reason)}` : ""}`,
  ].filter(Boolean).join("<br>");
}

// Records with their place on the x axis; both modes of a tensor share one.
function places(records) {
  const tensors = new Map();
  return records
    .filter((record) => record.verdict !== "not decided")
    .filter((record) => record.kind !== "parameter" || record.verdict === "fail")
    .map((record) => {
      const key = JSON.stringify([record.kind, record.path, record.call, record.output]);
      if (!tensors.has(key)) tensors.set(key, tensors.size + 1);
      return { record, x: tensors.get(key) };
    });
}

// A label where a top-level group (encoder.0, crosstransformer) first appears.
function ticks(points, width) {
  const apart = (points.at(-1)?.x ?? 1) / Math.max(4, width / 26);
  const marks = { tickvals: [], ticktext: [] };
  const seen = new Set();
  for (const { record, x } of points) {
    const [name] = record.path.match(/^[^.:]+(\.\d+)?/) ?? [""]; // "" for a tap of the model
    if (name && !seen.has(name) && !(x - marks.tickvals.at(-1) < apart)) {
      marks.tickvals.push(x);
      marks.ticktext.push(text(name));
    }
    seen.add(name);
  }
  return marks;
}

function figure(records, divergence, width) {
  const points = places(records);
  const sizes = points.flatMap(({ record }) => [value(record.rel_l2), record.tolerance])
    .filter((size) => Number.isFinite(size) && size > 0).map(Math.log10);
  const low = Math.floor(sizes.length ? Math.min(...sizes) : -16) - 1;
  const high = Math.ceil(Math.max(low + 2, ...sizes)) + 0.3;
  const floor = 10 ** low;
  const ceiling = 10 ** (high - 0.15);
  // Equal bits; a passed tensor without a relative error is one of integers, which are equal.
  const equal = (r) => value(r.rel_l2) === 0
    || (r.verdict === "pass" && (r.tolerance === 0 || r.rel_l2 === null));
  const finite = (r) => Number.isFinite(value(r.rel_l2)) || equal(r);
  const height = ({ record }) =>
    (equal(record) ? floor : finite(record) ? value(record.rel_l2) : ceiling);

  const trace = (name, chosen, marker, more = {}) => ({
    name,
    mode: "markers",
    x: chosen.map(({ x }) => x),
    y: chosen.map(height),
    customdata: chosen.map(({ record }) => record.position - 1),
    hovertext: chosen.map(({ record }) => hover(record)),
    hoverinfo: "text",
    marker,
    ...more,
  });
  const limit = (mode, dash) => {
    const chosen = points.filter(({ record }) => record.mode === mode);
    return {
      name: `tolerance, ${mode}`,
      mode: "lines",
      // A step for each tensor; a tolerance of 0 has no place on a log axis and leaves a gap.
      x: chosen.flatMap(({ x }) => [x - 0.5, x + 0.5]),
      y: chosen.flatMap(({ record: { tolerance } }) => Array(2).fill(tolerance || null)),
      line: { color: theme("limit"), width: 1.2, dash },
      hoverinfo: "skip",
    };
  };
  const only = (test) => points.filter(({ record }) => test(record));
  const drawn = (mode) => only((r) => r.mode === mode && finite(r) && !equal(r));
  const line = { color: theme("cumulative"), width: 1.2 };
  const traces = [
    limit("isolated", "solid"),
    limit("cumulative", "dot"),
    trace("cumulative", drawn("cumulative"),
      { color: theme("cumulative"), size: 5, symbol: "square" }, { mode: "lines+markers", line }),
    trace("isolated", drawn("isolated"), { color: theme("isolated"), size: 6 }),
    trace("isolated, bitwise equal (at the floor)",
      only((r) => r.mode === "isolated" && equal(r)),
      { color: theme("isolated"), size: 8, symbol: "triangle-up-open" }),
    trace("cumulative, bitwise equal (at the floor)",
      only((r) => r.mode === "cumulative" && equal(r)),
      { color: theme("cumulative"), size: 8, symbol: "triangle-down-open" }),
    trace("no finite error (at the top)", only((r) => !finite(r)),
      { color: theme("fail"), size: 9, symbol: "triangle-up" }),
    trace("failed", only((r) => r.verdict === "fail"),
      { symbol: "x-thin", size: 8, line: { color: theme("fail"), width: 1.6 } }),
  ].filter(({ y }) => y.some((size) => size !== null));
  // Drawn from back to front, but named in the order of interest.
  traces.forEach((each) => { each.legendrank = each.mode === "lines" ? 3 : each.name === "isolated" ? 1 : 2; });
  const first = points.find(({ record }) => record === divergence);
  const mark = first && width > 700 ? `first divergence: ${divergence.path || MODEL}` : "first divergence";
  const side = first && first.x > points.at(-1).x / 2 ? "right" : "left";

  return [traces, {
    ...look(),
    margin: { l: 64, r: 40, t: 8, b: 8 },
    shapes: first ? [{ type: "line", x0: first.x, x1: first.x, yref: "paper", y0: 0, y1: 1,
      layer: "below", line: { color: theme("fail"), width: 1 } }] : [],
    annotations: first ? [{ x: first.x, y: 0, yref: "paper", xanchor: side, yanchor: "bottom",
      showarrow: false, text: text(mark), bgcolor: theme("card"),
      font: { color: theme("fail"), size: 11 } }] : [],
    xaxis: { ...axis(), ...ticks(points, width), tickmode: "array", tickangle: -45, automargin: true,
      range: [0.3, (points.at(-1)?.x ?? 1) + 0.7], tickfont: { size: 10.5 } },
    yaxis: { ...axis(), type: "log", range: [low - 0.3, high], exponentformat: "power",
      title: { text: "Relative L2 error", standoff: 10 }, dtick: Math.ceil((high - low) / 9),
      tickfont: { size: 11 } },
  }];
}

const charts = [];

function chart(records, name, divergence, goTo) {
  const place = element("div", { className: "chart" });
  place.setAttribute("role", "img");
  place.setAttribute("aria-label",
    `Relative L2 error of each layer of ${name}, isolated and cumulative, in execution order. `
    + "The table below holds the same values.");
  const left = records.filter((r) => r.kind === "parameter" && r.verdict === "pass").length;
  const hint = "Layers in execution order; a click on a point finds its row in the table."
    + (left ? ` Not drawn: ${left} parameters, all within their tolerance.` : "");
  const draw = () => {
    const width = place.clientWidth; // 0 in a case that was closed again
    if (width) Plotly.react(place, ...figure(records, divergence, width), CONFIG);
  };
  charts.push(draw);
  const whole = element("section", {}, element("h4", {}, "Error by layer"),
    element("p", { className: "hint" }, hint), place);
  const start = () => {
    draw();
    place.on("plotly_click", ({ points: [point] }) => {
      if (point.customdata !== undefined) goTo(records[point.customdata]);
    });
  };
  return [start, whole];
}
