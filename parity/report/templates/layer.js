// What the page knows of one module or step.

const SHOWN = 6; // calls, or worst tensors inside
const excerpts = JSON.parse(document.getElementById("excerpts")?.textContent ?? "{}");

// A line of one side with what stands around it, where that is here.
function excerpt(side, place) {
  const caption = element("figcaption", {}, `${side} `, element("code", {}, place || "no line"));
  const found = excerpts[place];
  if (!found) return element("figure", { className: "code" }, caption);
  const code = element("pre", { tabIndex: 0 }, ...found.lines.map((line, i) => {
    const row = element("span", { className: "line" }, line || " ");
    row.dataset.number = found.first + i;
    if (found.first + i === found.here) row.classList.add("here");
    return row;
  }));
  code.setAttribute("aria-label", `${place} and the lines around it`);
  return element("figure", { className: "code" }, caption, code);
}

const FIELDS = ["mode", "verdict", "rel_l2", "tolerance", "share", "noise_ratio", "gain", "max_abs", "max_ulp"];
const SHORT = FIELDS.map((field) => COLUMNS.find(([name]) => name === field));

function measures(records, name) {
  const several = new Set(records.map(({ call, output }) => `${call} ${output}`)).size > 1;
  const columns = several ? [["call", "Call", "count", ""], ["output", "Output", "count", ""], ...SHORT] : SHORT;
  const head = element("tr", {}, ...columns.map(([, title, kind, meaning]) => {
    const heading = element("th", { scope: "col", title: meaning }, title);
    if (NUMERIC.has(kind)) heading.className = "n";
    return heading;
  }));
  const body = element("tbody", {}, ...records.map((record) => {
    const row = element("tr", {}, ...columns.map((column) => cell(record, column)));
    if (record.verdict === "fail") row.className = "fail";
    return row;
  }));
  const scroll = element("div", { className: "scroll", tabIndex: 0 },
    element("table", { className: "layers" }, element("thead", {}, head), body));
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Errors of ${name}`);
  return scroll;
}

function portraits(record, drawn) {
  const found = drawn.portraits[record.position - 1];
  const title = `${record.path || MODEL}, ${record.mode}`;
  if (!found) {
    const why = value(record.rel_l2) === 0 || value(record.share) === 0
      ? "Equal: there is no error to draw." : "No picture: it was not asked for, or the worst tensors took all room.";
    return element("p", { className: "none" }, `${record.mode}: ${why}`);
  }
  const made = element("div", { className: "portrait" }, element("h6", {}, record.mode[0].toUpperCase() + record.mode.slice(1)),
    heatMap(found, title), histogram(found, title));
  return made;
}

// `drawn` has the portraits by the position of a record, the first divergence and its fingerprint,
// and shares of the final error by path.
function layerDetails(node, drawn, choose) {
  const own = [...node.records].sort((a, b) => badness(b) - badness(a));
  const first = own[0];
  const parts = [];
  const facts = [first?.module_class, first && `${first.kind}`, first?.shape && `shape ${first.shape}`];
  parts.push(element("h5", {}, element("code", {}, node.path || MODEL),
    ...(first ? [badge(own.some(({ verdict }) => verdict === "fail") ? "fail" : first.verdict)] : [])));
  if (first) parts.push(element("p", { className: "hint" }, facts.filter(Boolean).join(", ")));
  const shares = drawn.shares.filter(([path]) => path === node.path);
  if (own.some(({ position }) => position - 1 === drawn.divergence)) {
    parts.push(element("p", { className: "first" }, `The first divergence. ${drawn.fingerprint}`));
  }
  for (const [, call, share, left] of shares) {
    parts.push(element("p", {}, `${number(100 * share)} % of the final error come from call ${call}`
      + `${left === null ? "" : `; ${number(left)} dB vanish if it is right`}.`));
  }
  if (first) {
    parts.push(measures(own.slice(0, 2 * SHOWN), node.path || MODEL));
    if (own.length > 2 * SHOWN) {
      parts.push(element("p", { className: "hint" }, `The worst ${2 * SHOWN} of ${own.length}; all are in the table below.`));
    }
    for (const mode of [...new Set(own.map((record) => record.mode))].sort().reverse()) {
      parts.push(portraits(own.find((record) => record.mode === mode), drawn));
    }
    parts.push(element("div", { className: "sides" }, excerpt("Reference", first.source),
      ...(first.port ? [excerpt("Port", first.port)] : [])));
  }
  const within = inside(node).filter((each) => each.records.length)
    .map((each) => [each, worstOf(each.records)]).sort(([, a], [, b]) => badness(b) - badness(a));
  if (within.length) {
    const row = ([each, record]) => {
      const link = element("button", { type: "button", className: "link" }, each.path);
      link.addEventListener("click", () => choose(each));
      return element("tr", { className: record.verdict === "fail" ? "fail" : "" },
        element("td", { className: "path" }, link), cell(record, ["mode", "", "text"]), cell(record, ["share", "", "share"]));
    };
    parts.push(element("div", { className: "within" }, element("p", { className: "hint" }, "Closest to their tolerance inside:"),
      element("table", { className: "layers" }, element("tbody", {}, ...within.slice(0, SHOWN).map(row)))));
  }
  return parts;
}

// Tree and details of one case.
function modules(records, name, drawn) {
  const details = element("div", { className: "layer", tabIndex: -1 });
  details.setAttribute("aria-live", "polite");
  let tree = null;
  const show = (node) => details.replaceChildren(...layerDetails(node, drawn, (each) => tree.choose(each)));
  tree = moduleTree(records, name, show);
  const hint = "The share of its tolerance that the worst tensor inside uses. Arrow keys move, open and close.";
  const part = element("section", { className: "browse" }, element("h4", {}, "Modules"),
    element("p", { className: "hint" }, hint), element("div", { className: "pair" }, tree.part, details));
  // Once it is in the page, as it scrolls.
  const start = () => tree.select(records[drawn.divergence] ?? tree.root.worst);
  return [tree.select, start, part];
}
