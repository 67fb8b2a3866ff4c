// Where the error of one tensor is, and how many last places it takes.

const STEP = 3; // dB from one level of a picture to the next
const LEVELS = 15;

// Red, green and blue of `#rrggbb`.
const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

// A colour for each level, from that of nothing over one between to the strongest.
function ramp() {
  const stops = ["heat-none", "heat-low", "heat-high"].map((name) => channels(theme(name)));
  return Array.from({ length: LEVELS + 1 }, (_, level) => {
    if (!level) return stops[0];
    const at = 0.25 + (1.75 * level) / LEVELS;
    const [from, to] = at < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
    return from.map((part, i) => Math.round(part + (to[i] - part) * (at < 1 ? at : at - 1)));
  });
}

// The numbers of an axis that a cell has: "12" or "12–15".
function extent(cell, cells, size) {
  const first = Math.ceil((cell * size) / cells - 1e-9) && Math.floor((cell * size) / cells);
  const last = Math.floor(((cell + 1) * size) / cells) - 1;
  return last > first ? `${first}–${last}` : `${first}`;
}

function heatMap([down, rows, across, columns, url, top], title) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  const largest = top === null ? "no finite error, or none" : `largest ${number(top)} dB of the reference's RMS`;
  canvas.setAttribute("aria-label", `Error of ${title} over ${down || "one row"} and ${across}; ${largest}`);
  const note = element("small", {}, largest);
  const image = new Image();
  let levels = null;
  const draw = () => {
    if (!levels) return;
    const colours = ramp();
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    levels.forEach((level, i) => pixels.data.set([...colours[level], 255], 4 * i));
    context.putImageData(pixels, 0, 0);
  };
  image.addEventListener("load", () => {
    canvas.width = image.width;
    canvas.height = image.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    levels = Array.from({ length: data.length / 4 }, (_, i) => Math.round(data[4 * i] / 17));
    canvas.dataset.largest = Math.max(...levels);
    draw();
  });
  image.src = url;
  canvas.addEventListener("pointermove", (event) => {
    if (!levels) return;
    const box = canvas.getBoundingClientRect();
    const column = Math.min(image.width - 1, Math.floor(((event.clientX - box.left) / box.width) * image.width));
    const row = Math.min(image.height - 1, Math.floor(((event.clientY - box.top) / box.height) * image.height));
    const level = levels[row * image.width + column];
    const size = level ? `${number(STEP * (level - LEVELS))} dB below the largest`.replace("−", "")
      : "fainter than all levels, or equal";
    const place = [down && `${down} ${extent(row, image.height, rows)}`,
      `${across} ${extent(column, image.width, columns)}`].filter(Boolean).join(", ");
    note.textContent = `${place}: ${level === LEVELS ? "the largest" : size}`;
  });
  canvas.addEventListener("pointerleave", () => { note.textContent = largest; });
  charts.push(draw);
  const axes = element("small", { className: "axes" },
    down ? `${down} (${rows}) downwards, ${across} (${columns}) to the right` : `${across} (${columns}) to the right`);
  return element("figure", { className: "heat" }, element("figcaption", {}, "Error over ", axes), canvas, note);
}

const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function binName(bin) {
  if (bin < 2) return String(bin);
  if (bin < 8) return String(2 ** (bin - 1));
  return `2${[...String(bin - 1)].map((digit) => POWERS[digit]).join("")}`;
}

function histogram([, , , , , , counts], title) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(...counts);
  const bars = counts.map((count, bin) => {
    const bar = element("span", { className: count ? "bar" : "bar none" });
    bar.style.setProperty("--height", `${(100 * count) / most}%`);
    const range = bin < 2 ? bin : `${binName(bin)} to ${binName(bin + 1)}`;
    const column = element("div", { title: `${range}: ${count} of ${total}` },
      element("span", { className: "room" }, bar), element("small", {}, binName(bin)));
    if (counts.length > 14 && bin % 2) column.classList.add("odd");
    return column;
  });
  const columns = element("div", { className: "columns" }, ...bars);
  columns.setAttribute("role", "img");
  const equal = `${number((100 * (counts[0] ?? 0)) / total)} % equal bits`;
  columns.setAttribute("aria-label", `Histogram of last places of ${title}: ${equal}`);
  return element("figure", { className: "histogram" },
    element("figcaption", {}, "Last places (ULP) ", element("small", {}, `of ${total.toLocaleString("en")} numbers`)),
    columns, element("small", {}, equal));
}
