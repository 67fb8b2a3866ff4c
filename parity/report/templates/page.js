// Draws a case when it is opened, and filters the table of all cases.

function filterCases() {
  const place = document.getElementById("case-filters");
  if (!place) return;
  const [find, failing] = place.querySelectorAll("input");
  const count = place.querySelector("output");
  const rows = [...document.querySelectorAll("table.overview tbody tr")];
  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word))
        || (failing.checked && !row.classList.contains("fail"));
    }
    const left = rows.filter((row) => !row.hidden).length;
    count.textContent = left === rows.length ? `all ${left} cases` : `${left} of ${rows.length} cases`;
  };
  place.hidden = false;
  place.addEventListener("input", show);
  show();
}

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
  const { name } = place.dataset;
  const drawn = JSON.parse(document.getElementById(`${details.id}-drawn`).textContent);
  const [goTo, table] = layerTable(records, name);
  const [select, selectFirst, tree] = modules(records, name, drawn);
  const [start, picture] = chart(records, name, records[drawn.divergence], (record) => {
    select(record);
    goTo(record);
  });
  place.append(tree, picture, table);
  selectFirst();
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
document.querySelectorAll("table.overview, table.plain").forEach(sortStatic);
filterCases();
const picture = document.querySelector(".picture");
if (picture) {
  const draw = overview(picture);
  charts.push(draw);
  draw();
  picture.on("plotly_click", ({ points: [point] }) => { location.hash = `#${point.customdata}`; });
}
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
