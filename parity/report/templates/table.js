// Sorting, and the table of the layers of one case.

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

function sortStatic(table) {
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
    element("caption", {}, element("span", {}, caption)), element("thead", {}, head), body);

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
