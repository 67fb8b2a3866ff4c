// Records out of the page's data, and how their values are written.
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
  ["port", "Port", "path", "File and line of the port"],
  ["reason", "Reason", "text", ""],
];
const MODEL = "(model)"; // the path of the model itself is empty
const ROWS = 400; // rows shown at first; thousands at once make sorting slow
const NUMERIC = new Set(["count", "number", "share"]);

// ---- data -------------------------------------------------------------------------------

// The records of one case; the columns are written by `columns` in data.py.
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

// As `number` in data.py.
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

// As `percent` in data.py.
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
  const [word, path] = {
    pass: ["Pass", "M3 8.5l3.5 3.5L13 4.5"],
    "not decided": ["Not decided", "M3 8h10"],
  }[verdict] ?? ["Fail", "M4 4l8 8M12 4l-8 8"];
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

const theme = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
