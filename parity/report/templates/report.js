// Draws a case's chart and layer table from the JSON in the page, when the case is opened.
"use strict";
(() => {
  const COLUMNS = [
    // [field, heading, kind of cell, what it means]
    ["position", "#", "count", "Position in execution order"],
    ["path", "Path", "path", "The reference's module path; a tap adds :name"],
    ["call", "Call", "count", "Index of the call"],
    ["output", "Output", "count", "Leaf of the output"],
    ["mode", "Mode", "text", ""],
    ["verdict", "Verdict", "verdict", ""],
    ["rel_l2", "Relative L2", "number", "Relative L2 error; the tolerance bounds it"],
    ["tolerance", "Tolerance", "number", "0 asks for bitwise equality"],
    ["share", "Used", "share", "Share of the tolerance used"],
    ["noise_ratio", "Noise ratio", "number", "Error against float64 over the reference's own"],
    ["gain", "Gain", "number", "Output error over input error"],
    ["max_abs", "Max abs", "number", "Largest absolute difference"],
    ["max_ulp", "Max ULP", "number", "Largest difference in units in the last place"],
    ["snr_db", "SNR dB", "number", "Signal-to-noise ratio"],
    ["si_sdr_db", "SI-SDR dB", "number", "Scale-invariant signal-to-distortion ratio"],
    ["kind", "Kind", "text", ""],
    ["module_class", "Class", "text", ""],
    ["shape", "Shape", "path", ""],
    ["dtype", "dtype", "text", ""],
    ["source", "Source", "path", "File and line of the reference"],
    ["reason", "Reason", "text", ""],
  ];
  const MODEL = "(model)"; // the path of the model itself is empty
  const ROWS = 400; // rows shown at first; thousands at once make sorting slow
  const NUMERIC = new Set(["count", "number", "share"]);

  // ---- data -------------------------------------------------------------------------------

  // The records of one case; the columns are written by `_columns` in report.py.
  function decode(columns) {
    const names = Object.keys(columns).filter((name) => name !== "rows");
    return Array.from({ length: columns.rows }, (_, row) => {
      const record = { position: row + 1 };
      for (const name of names) {
        const column = columns[name];
        record[name] = Array.isArray(column) ? column[row] : column.values[column.codes[row]];
      }
      return record;
    });
  }

  // A metric as a number; NaN for what is not there. Infinity is written as a text.
  const value = (metric) => (metric === null || metric === "" ? NaN : Number(metric));

  // As `_number` in report.py.
  function number(metric) {
    if (metric === null || metric === undefined) return "–";
    const x = Number(metric);
    if (Number.isNaN(x)) return "NaN";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
    const size = Math.abs(x);
    let text = "0";
    if (size >= 1e-3 && size < 1e5) text = String(Number(x.toPrecision(3)));
    else if (size > 0) text = x.toExponential(2).replace("e+", "e");
    return text.replaceAll("-", "−");
  }

  // As `_percent` in report.py.
  function percent(metric) {
    const x = value(metric);
    if (!Number.isFinite(x)) return number(metric);
    if (x >= 10) return `${number(x)} ×`;
    return x > 0 && x < 0.001 ? "< 0.1 %" : `${number(100 * x)} %`;
  }

  // ---- elements ---------------------------------------------------------------------------

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function badge(verdict) {
    const [word, path] = verdict === "pass"
      ? ["Pass", "M3 8.5l3.5 3.5L13 4.5"] : ["Fail", "M4 4l8 8M12 4l-8 8"];
    const made = element("span", { className: `badge ${verdict}` });
    made.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>${word}`;
    return made;
  }

  function cell(record, [field, , kind]) {
    const metric = record[field];
    const made = document.createElement(field === "path" ? "th" : "td");
    if (field === "path") made.scope = "row";
    if (kind === "verdict") made.append(badge(metric));
    else if (kind === "share") {
      made.className = "n used";
      made.textContent = percent(metric);
      made.style.setProperty("--used", `${Math.min(100, 100 * value(metric)) || 0}%`);
    } else if (kind === "number") {
      made.className = "n";
      made.textContent = number(metric);
    } else {
      made.className = kind === "count" ? "n" : kind === "path" ? "path" : field;
      made.textContent = metric === "" ? (field === "path" ? MODEL : "–") : metric;
    }
    if (field === "max_abs" && record.max_abs_index) made.title = `at [${record.max_abs_index}]`;
    return made;
  }

  // ---- sorting ----------------------------------------------------------------------------

  // Compare two sort keys. What is no finite number, or is empty, comes last both ways.
  function compare(a, b, numeric, direction) {
    const last = (key) => (numeric ? !Number.isFinite(key) : key === "" || key === "–");
    if (last(a) || last(b)) return last(a) - last(b);
    return direction * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  }

  // Make a table's headings sort: `keys(row, column)` gives the key, `show(rows)` shows them.
  function sortable(table, rows, keys, show) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = element("button", { type: "button" }, ...heading.childNodes);
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        const numeric = heading.classList.contains("n");
        const keyed = rows.map((row) => [keys(row, column), row]);
        keyed.sort(([a], [b]) => compare(a, b, numeric, direction));
        rows.splice(0, rows.length, ...keyed.map(([, row]) => row));
        show(rows);
      });
    });
  }

  function sortOverview(table) {
    const body = table.tBodies[0];
    const key = (row, column) => {
      const at = row.cells[column];
      // Python's inf is no number to JavaScript, which is as well: it sorts last.
      return at.dataset.value === undefined ? at.textContent.trim() : parseFloat(at.dataset.value);
    };
    sortable(table, [...body.rows], key, (rows) => body.replaceChildren(...rows));
  }

  // ---- the layer table --------------------------------------------------------------------

  function choice(label, field, records) {
    const values = [...new Set(records.map((record) => record[field]))];
    const select = element("select", {}, element("option", { value: "" }, "all"),
      ...values.map((each) => element("option", { value: each }, each)));
    return [select, element("label", {}, label, select)];
  }

  function layerTable(records, name) {
    const body = document.createElement("tbody");
    const head = document.createElement("tr");
    for (const [field, title, kind, meaning] of COLUMNS) {
      const heading = element("th", { scope: "col", title: meaning }, title);
      if (NUMERIC.has(kind)) heading.className = "n";
      if (field === "path") heading.className = "path";
      head.append(heading);
    }
    const caption = `Compared tensors of ${name}, at first in execution order. A heading sorts.`;
    const table = element("table", { className: "layers sortable" },
      element("caption", {}, caption), element("thead", {}, head), body);

    const find = element("input", { type: "search", placeholder: "encoder.4, LSTM, skip …" });
    const [kind, kinds] = choice("Kind", "kind", records);
    const [mode, modes] = choice("Mode", "mode", records);
    const failing = element("input", { type: "checkbox" });
    const count = document.createElement("output");
    const controls = element("div", { className: "filters" },
      element("label", { className: "find" }, "Path, class, source or reason", find), kinds, modes,
      element("label", { className: "tick" }, failing, "Only failures"), count);

    const rows = new Map();
    const row = (record) => {
      if (!rows.has(record)) {
        const made = element("tr", {}, ...COLUMNS.map((column) => cell(record, column)));
        if (record.verdict === "fail") made.className = "fail";
        rows.set(record, made);
      }
      return rows.get(record);
    };
    const more = element("button", { type: "button", className: "more" });
    let limit = ROWS;
    const sorted = [...records];
    const show = () => {
      const words = find.value.toLowerCase().split(/\s+/);
      const shown = sorted.filter((record) => {
        const { path, module_class: type, source, reason } = record;
        const text = [path, type, source, reason].join(" ").toLowerCase();
        return words.every((word) => text.includes(word))
          && (!kind.value || record.kind === kind.value)
          && (!mode.value || record.mode === mode.value)
          && (!failing.checked || record.verdict === "fail");
      });
      body.replaceChildren(...shown.slice(0, limit).map(row));
      more.hidden = shown.length <= limit;
      more.textContent = `Show all ${shown.length}`;
      const first = more.hidden ? "" : `the first ${limit} of `;
      count.textContent = shown.length === records.length
        ? `${first || "all "}${records.length} tensors` : `${first}${shown.length} of ${records.length} tensors`;
    };
    const key = (record, column) => {
      const [field, , type] = COLUMNS[column];
      return NUMERIC.has(type) ? value(record[field]) : record[field];
    };
    sortable(table, sorted, key, show);
    table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
    controls.addEventListener("input", show);
    more.addEventListener("click", () => {
      limit = Infinity;
      show();
    });
    show();

    const scroll = element("div", { className: "scroll layers-scroll", tabIndex: 0 }, table);
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `Layers of ${name}`);
    const goTo = (record) => {
      if (!body.contains(rows.get(record))) {
        find.value = kind.value = mode.value = "";
        failing.checked = false;
        limit = Infinity;
        show();
      }
      body.querySelectorAll(".found").forEach((found) => found.classList.remove("found"));
      row(record).classList.add("found");
      row(record).scrollIntoView({ block: "center", inline: "nearest" });
    };
    return [goTo, element("section", {}, element("h4", {}, "Layers"), controls, scroll, more)];
  }

  // ---- the chart --------------------------------------------------------------------------

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
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
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
        line: { color: colour("limit"), width: 1.2, dash },
        hoverinfo: "skip",
      };
    };
    const only = (test) => points.filter(({ record }) => test(record));
    const drawn = (mode) => only((r) => r.mode === mode && finite(r) && !equal(r));
    const line = { color: colour("cumulative"), width: 1.2 };
    const traces = [
      limit("isolated", "solid"),
      limit("cumulative", "dot"),
      trace("cumulative", drawn("cumulative"),
        { color: colour("cumulative"), size: 5, symbol: "square" }, { mode: "lines+markers", line }),
      trace("isolated", drawn("isolated"), { color: colour("isolated"), size: 6 }),
      trace("isolated, bitwise equal (at the floor)",
        only((r) => r.mode === "isolated" && equal(r)),
        { color: colour("isolated"), size: 8, symbol: "triangle-up-open" }),
      trace("cumulative, bitwise equal (at the floor)",
        only((r) => r.mode === "cumulative" && equal(r)),
        { color: colour("cumulative"), size: 8, symbol: "triangle-down-open" }),
      trace("no finite error (at the top)", only((r) => !finite(r)),
        { color: colour("fail"), size: 9, symbol: "triangle-up" }),
      trace("failed", only((r) => r.verdict === "fail"),
        { symbol: "x-thin", size: 8, line: { color: colour("fail"), width: 1.6 } }),
    ].filter(({ y }) => y.some((size) => size !== null));
    // Drawn from back to front, but named in the order of interest.
    traces.forEach((each) => { each.legendrank = each.mode === "lines" ? 3 : each.name === "isolated" ? 1 : 2; });
    const first = points.find(({ record }) => record === divergence);
    const mark = first && width > 700 ? `first divergence: ${divergence.path || MODEL}` : "first divergence";
    const side = first && first.x > points.at(-1).x / 2 ? "right" : "left";

    const axis = { color: colour("soft"), gridcolor: colour("grid"), zeroline: false, linecolor: colour("line") };
    return [traces, {
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: style.getPropertyValue("--sans"), size: 12, color: colour("ink") },
      margin: { l: 64, r: 12, t: 8, b: 8 },
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: colour("card"), bordercolor: colour("line"),
        font: { color: colour("ink") } },
      legend: { orientation: "h", x: 0, y: 1.03, yanchor: "bottom" },
      modebar: { bgcolor: "transparent", color: colour("soft"), activecolor: colour("accent") },
      shapes: first ? [{ type: "line", x0: first.x, x1: first.x, yref: "paper", y0: 0, y1: 1,
        layer: "below", line: { color: colour("fail"), width: 1 } }] : [],
      annotations: first ? [{ x: first.x, y: 0, yref: "paper", xanchor: side, yanchor: "bottom",
        showarrow: false, text: text(mark), bgcolor: colour("card"),
        font: { color: colour("fail"), size: 11 } }] : [],
      xaxis: { ...axis, ...ticks(points, width), tickmode: "array", tickangle: -45, automargin: true,
        range: [0.3, (points.at(-1)?.x ?? 1) + 0.7], tickfont: { size: 10.5 } },
      yaxis: { ...axis, type: "log", range: [low - 0.3, high], exponentformat: "power",
        title: { text: "Relative L2 error", standoff: 10 }, dtick: Math.ceil((high - low) / 9),
        tickfont: { size: 11 } },
    }];
  }

  const CONFIG = {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
  };
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

  // ---- opening ----------------------------------------------------------------------------

  const redraw = () => charts.forEach((draw) => draw());

  function fill(details) {
    const place = details.querySelector(".drawn");
    if (place.childElementCount) {
      redraw();
      return;
    }
    const data = document.getElementById(place.dataset.source).textContent;
    const records = decode(JSON.parse(data));
    if (!records.length) return;
    const { name, divergence } = place.dataset;
    const [goTo, table] = layerTable(records, name);
    const [start, picture] = chart(records, name, records[divergence], goTo);
    place.append(picture, table);
    start();
  }

  function open(details) {
    details.open = true;
    fill(details);
  }

  function follow() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target || !target.matches("details.case")) return false;
    open(target);
    target.scrollIntoView();
    return true;
  }

  const cases = [...document.querySelectorAll("details.case")];
  cases.forEach((details) => {
    details.addEventListener("toggle", () => details.open && fill(details));
  });
  if (cases.length) sortOverview(document.querySelector("table.overview"));
  const first = cases.find((details) => details.classList.contains("fail"))
    ?? (cases.length === 1 ? cases[0] : null);
  if (!follow() && first) open(first);
  // A link to a case already in the address bar opens it again, too.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#case-']");
    if (link) open(document.getElementById(link.hash.slice(1)));
  });
  addEventListener("hashchange", follow);

  const print = (on) => () => {
    document.documentElement.toggleAttribute("data-print", on);
    redraw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));
})();
