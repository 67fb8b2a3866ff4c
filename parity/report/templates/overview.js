// The picture of the whole run: the worst noise ratio of every case, by kind of layer.

const ROW = { beside: 19, below: 27 }; // pixels of a kind; below has its label above the points
const GAP = 48; // pixels of an axis and its title
const REACH = 1e3; // how far from the bounds points are drawn; what is farther lies at the edge

// One panel for each dtype, beside each other or, where there is no room, below.
function overview(place) {
  const { cases, dtypes, kinds, points } = JSON.parse(document.getElementById("overview-data").textContent);
  const names = kinds.map(text);
  const bounds = points.limit.filter((limit) => limit > 0);
  const floor = Math.min(...bounds, 1) / REACH;
  const ceiling = Math.max(...bounds, 1) * REACH;
  const drawn = (noise) => (Number.isNaN(value(noise)) ? ceiling
    : Math.min(Math.max(value(noise), floor), ceiling));
  const inside = (noise) => drawn(noise) === value(noise);
  const range = [
    Math.log10(Math.min(...points.noise.map(drawn), 1)) - 0.15,
    Math.log10(Math.max(...points.noise.map(drawn), ...bounds, 1)) + 0.15,
  ];

  function panel(dtype, at, domains) {
    const suffix = at ? at + 1 : "";
    const chosen = [...points.case.keys()].filter((i) => cases[points.case[i]].dtype === dtype);
    const limit = (mode) => Math.max(...chosen
      .filter((i) => points.mode[i] === mode && points.limit[i] !== null).map((i) => points.limit[i]));
    const trace = (name, test, marker) => {
      const own = chosen.filter(test);
      return {
        name, legendgroup: name, showlegend: at === 0, mode: "markers",
        xaxis: `x${suffix}`, yaxis: `y${suffix}`,
        x: own.map((i) => drawn(points.noise[i])),
        y: own.map((i) => names[points.kind[i]]),
        customdata: own.map((i) => cases[points.case[i]].anchor),
        hovertext: own.map((i) => [
          `<b>${text(cases[points.case[i]].name)}</b>`,
          `${names[points.kind[i]]}, ${points.mode[i]}: noise ratio ${number(points.noise[i])}`,
          `of at most ${number(points.limit[i])}`,
        ].join("<br>")),
        hoverinfo: "text",
        marker: { size: 5, opacity: 0.6, ...marker, symbol: own.map((i) => (
          inside(points.noise[i]) ? marker.symbol
            : `triangle-${drawn(points.noise[i]) === floor ? "left" : "right"}`)) },
      };
    };
    const passed = (mode) => (i) => points.mode[i] === mode && !points.failed[i];
    const traces = [
      trace("isolated", passed("isolated"), { color: theme("isolated"), symbol: "circle" }),
      trace("cumulative", passed("cumulative"), { color: theme("cumulative"), symbol: "square" }),
      trace("failed", (i) => points.failed[i], { color: theme("fail"), symbol: "x", size: 8 }),
    ].filter(({ name, x }) => x.length || (at === 0 && name !== "failed"));
    const lines = ["isolated", "cumulative"].map((mode) => ({
      type: "line", xref: `x${suffix}`, yref: `y${suffix} domain`, y0: 0, y1: 1, layer: "below",
      x0: limit(mode), x1: limit(mode),
      line: { color: theme(mode), width: 1, dash: mode === "isolated" ? "solid" : "dot" },
    })).filter(({ x0 }) => Number.isFinite(x0));
    const labels = domains.above ? names.map((name) => ({
      text: name, x: 0, xref: `x${suffix} domain`, xanchor: "left", y: name, yref: `y${suffix}`,
      yshift: 10, showarrow: false, font: { size: 11, color: theme("soft") },
    })) : [];
    return {
      traces, lines, labels,
      axes: {
        [`xaxis${suffix}`]: { ...axis(), type: "log", ...domains.x, anchor: `y${suffix}`,
          range, dtick: Math.ceil((range[1] - range[0]) / 7),
          title: { text: `noise ratio, ${dtype}`, standoff: 6 } },
        [`yaxis${suffix}`]: { ...axis(), ...domains.y, anchor: `x${suffix}`, type: "category",
          categoryorder: "array", categoryarray: [...names].reverse(), automargin: true,
          range: [-0.7, names.length - (domains.above ? 0 : 0.3)], dtick: 1,
          tickfont: { size: 11 }, showticklabels: domains.labels },
      },
    };
  }

  return () => {
    const width = place.clientWidth;
    if (!width) return;
    const beside = width > 700;
    const count = dtypes.length;
    const inner = (ROW[beside ? "beside" : "below"] * names.length + GAP) * (beside ? 1 : count);
    const height = inner + 90;
    const panels = dtypes.map((dtype, at) => panel(dtype, at, beside
      ? { x: { domain: [at / count + (at ? 0.01 : 0), (at + 1) / count - 0.01] }, y: {}, labels: at === 0, above: false }
      : { x: {}, y: { domain: [1 - (at + 1) / count + GAP / inner, 1 - at / count] },
        labels: false, above: true }));
    place.style.height = `${height}px`;
    Plotly.react(place, panels.flatMap(({ traces }) => traces), {
      ...look(), height, margin: { l: beside ? 20 : 4, r: 40, t: 34, b: beside ? 44 : 8 },
      legend: { ...look().legend, y: 1 },
      shapes: panels.flatMap(({ lines }) => lines),
      annotations: panels.flatMap(({ labels }) => labels),
      ...Object.assign({}, ...panels.map(({ axes }) => axes)),
    }, CONFIG);
  };
}
