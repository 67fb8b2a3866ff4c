// The modules of one case as a tree: each shows the worst of all that is inside.

const used = (record) => (record.verdict === "fail" && !(value(record.share) > 1)
  ? Infinity : value(record.share));
const badness = (record) =>
  (record.verdict === "fail" ? 1e12 : 0) + (Number.isNaN(used(record)) ? 0 : Math.min(used(record), 1e9));
const worstOf = (records) =>
  records.reduce((worst, each) => (!worst || badness(each) > badness(worst) ? each : worst), null);

// Nodes with their records; parameters that passed say nothing of an error.
function grow(records) {
  const root = { name: MODEL, path: "", level: 1, parent: null, children: new Map(), records: [] };
  const below = (parent, name, path) => {
    if (!parent.children.has(name)) {
      parent.children.set(name,
        { name, path, level: parent.level + 1, parent, children: new Map(), records: [] });
    }
    return parent.children.get(name);
  };
  for (const record of records) {
    if (record.kind === "parameter" && record.verdict !== "fail") continue;
    const [, path, step] = record.path.match(/^(.*?)(?::([^:]*))?$/);
    let at = root;
    const parts = path.split(".").filter(Boolean);
    parts.forEach((part, i) => { at = below(at, part, parts.slice(0, i + 1).join(".")); });
    if (step !== undefined) at = below(at, `:${step}`, record.path);
    at.records.push(record);
  }
  const bubble = (node) => {
    node.worst = worstOf([...node.records, ...[...node.children.values()].map(bubble)].filter(Boolean));
    return node.worst;
  };
  bubble(root);
  return root;
}

const inside = (node) => [...node.children.values()].flatMap((child) => [child, ...inside(child)]);

// The tree, and what selects the node of a record. `show(node)` shows one.
function moduleTree(records, name, show) {
  const root = grow(records);
  const nodes = [root, ...inside(root)];
  const open = new Set([root]);
  const list = element("div", { className: "tree" });
  list.setAttribute("role", "tree");
  list.setAttribute("aria-label", `Modules of ${name}`);
  let selected = root;

  const rowOf = (node) => {
    const twist = element("span", { className: "twist" });
    const type = node.records[0]?.path === node.path && !node.name.startsWith(":")
      ? node.records[0].module_class : "";
    const share = element("span", { className: "n used" }, node.worst ? percent(used(node.worst)) : "–");
    share.style.setProperty("--used", `${Math.min(100, 100 * (node.worst ? used(node.worst) : 0)) || 0}%`);
    const row = element("div", { className: "node" }, twist, element("span", { className: "name" }, node.name),
      element("small", {}, type), share);
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", node.level);
    row.style.setProperty("--level", node.level - 1);
    if (node.worst?.verdict === "fail") row.classList.add("fail");
    twist.addEventListener("click", (event) => {
      event.stopPropagation();
      toggle(node, !open.has(node));
    });
    row.addEventListener("click", () => choose(node));
    row.addEventListener("dblclick", () => toggle(node, !open.has(node)));
    return row;
  };
  const rows = new Map();
  const row = (node) => rows.get(node) ?? rows.set(node, rowOf(node)).get(node);
  const shown = (node) =>
    [node, ...(open.has(node) ? [...node.children.values()].flatMap(shown) : [])];

  function draw() {
    const visible = shown(root);
    for (const node of visible) {
      if (node.children.size) row(node).setAttribute("aria-expanded", open.has(node));
      row(node).setAttribute("aria-selected", node === selected);
      row(node).tabIndex = node === selected ? 0 : -1;
    }
    list.replaceChildren(...visible.map(row));
    return visible;
  }
  function toggle(node, on) {
    if (on) open.add(node);
    else open.delete(node);
    // What is selected stays in sight.
    for (let at = selected.parent; at; at = at.parent) if (at === node && !on) selected = node;
    draw();
  }
  function choose(node, focus = true) {
    for (let at = node.parent; at; at = at.parent) open.add(at);
    selected = node;
    draw();
    show(node);
    if (focus) row(node).focus({ preventScroll: true });
    const { offsetTop: top, offsetHeight: height } = row(node);
    if (top < list.scrollTop || top + height > list.scrollTop + list.clientHeight) {
      list.scrollTop = top - list.clientHeight / 2;
    }
  }
  list.addEventListener("keydown", (event) => {
    const visible = shown(root);
    const at = visible.indexOf(selected);
    const closed = selected.children.size && !open.has(selected);
    const moves = {
      ArrowDown: () => choose(visible[Math.min(at + 1, visible.length - 1)]),
      ArrowUp: () => choose(visible[Math.max(at - 1, 0)]),
      Home: () => choose(root),
      End: () => choose(visible.at(-1)),
      ArrowRight: () => (closed ? toggle(selected, true) : selected.children.size && choose(visible[at + 1])),
      ArrowLeft: () => (open.has(selected) && selected.children.size
        ? toggle(selected, false) : selected.parent && choose(selected.parent)),
      Enter: () => toggle(selected, !open.has(selected)),
      " ": () => toggle(selected, !open.has(selected)),
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
    row(selected).focus({ preventScroll: true });
  });

  const button = (label, act) => {
    const made = element("button", { type: "button", className: "more" }, label);
    made.addEventListener("click", act);
    return made;
  };
  const nodeOf = (record) => nodes.find((node) => node.records.includes(record));
  const select = (record, focus = false) => {
    const node = nodeOf(record);
    if (node) choose(node, focus);
  };
  const controls = element("div", { className: "buttons" },
    button("Worst tensor", () => select(root.worst, true)),
    button("Expand all", () => {
      nodes.filter((node) => node.children.size).forEach((node) => open.add(node));
      draw();
    }),
    button("Collapse all", () => {
      open.clear();
      choose(root, false);
    }));
  draw();
  return { root, select, choose, part: element("div", { className: "modules" }, controls, list) };
}
