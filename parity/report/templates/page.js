// Draws a case when it is opened.

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
