// The picture of the whole run: the worst noise ratio of every case, by kind of layer.

const ROW = 19; // pixels of a kind

// One panel for each dtype, beside each other or, where there is no room, below.
function overview(place) {
  const { cases, dtypes, kinds, points } = JSON.parse(document.getElementById("overview-data").textContent);
  const names = kinds.map(text);
  const least = Math.min(...points.noise.filter((noise) => noise > 0), 1) / 2; // where 0 is drawn

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
        x: own.map((i) => Math.max(value(points.noise[i]), least)),
        y: own.map((i) => names[points.kind[i]]),
        customdata: own.map((i) => cases[points.case[i]].anchor),
        hovertext: own.map((i) => [
          `<b>${text(cases[points.case[i]].name)}</b>`,
          `${names[points.kind[i]]}, ${points.mode[i]}: noise ratio ${number(points.noise[i])}`,
          `of at most ${number(points.limit[i])}`,
        ].join("<br>")),
        hoverinfo: "text",
        marker: { size: 5, opacity: 0.6, ...marker },
      };
    };
    const passed = (mode) => (i) => points.mode[i] === mode && !points.failed[i];
    const traces = [
      trace("isolated", passed("isolated"), { color: theme("isolated") }),
      trace("cumulative", passed("cumulative"), { color: theme("cumulative"), symbol: "square" }),
      trace("failed", (i) => points.failed[i], { color: theme("fail"), symbol: "x", size: 8 }),
    ].filter(({ name, x }) => x.length || (at === 0 && name !== "failed"));
    const lines = ["isolated", "cumulative"].map((mode) => ({
      type: "line", xref: `x${suffix}`, yref: `y${suffix} domain`, y0: 0, y1: 1, layer: "below",
      x0: limit(mode), x1: limit(mode),
      line: { color: theme(mode), width: 1, dash: mode === "isolated" ? "solid" : "dot" },
    })).filter(({ x0 }) => Number.isFinite(x0));
    return {
      traces, lines,
      axes: {
        [`xaxis${suffix}`]: { ...axis(), type: "log", ...domains.x, anchor: `y${suffix}`,
          dtick: "D2", title: { text: `noise ratio, ${dtype}`, standoff: 6 } },
        [`yaxis${suffix}`]: { ...axis(), ...domains.y, anchor: `x${suffix}`, type: "category",
          categoryorder: "array", categoryarray: [...names].reverse(), automargin: true,
          range: [-0.7, names.length - 0.3], dtick: 1, tickfont: { size: 11 },
          showticklabels: domains.labels },
      },
    };
  }

  return () => {
    const width = place.clientWidth;
    if (!width) return;
    const beside = width > 700;
    const count = dtypes.length;
    const panels = dtypes.map((dtype, at) => panel(dtype, at, beside
      ? { x: { domain: [at / count + (at ? 0.01 : 0), (at + 1) / count - 0.01] }, y: {}, labels: at === 0 }
      : { x: {}, y: { domain: [1 - (at + 0.86) / count, 1 - at / count] }, labels: true }));
    const height = 110 + (ROW * names.length + 40) * (beside ? 1 : count);
    place.style.height = `${height}px`;
    Plotly.react(place, panels.flatMap(({ traces }) => traces), {
      ...look(), height, margin: { l: 20, r: 40, t: 8, b: 44 },
      shapes: panels.flatMap(({ lines }) => lines),
      ...Object.assign({}, ...panels.map(({ axes }) => axes)),
    }, CONFIG);
  };
}
