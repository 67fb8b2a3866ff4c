// The page: takes the files, asks the worker, shows and plays what comes back.

import { decode, draw, peakOf, wav } from "./audio.js";
import { Problem } from "./model.js";
import { Player } from "./player.js";

const $ = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
let about = null; // of the model that is loaded
let track = null; // the file
let player = null;
let busy = false;
let began = 0;

// What the worker answers, by its kind.
const answers = {
  load(answer) {
    about = answer.about;
    const seconds = about.segment / about.samplerate;
    const threads = answer.threads > 1 ? `${answer.threads} threads` : "one thread";
    $("model-about").textContent =
      `${about.sources.join(", ")} · ${about.samplerate} Hz · chunks of ${+seconds.toFixed(1)} s · ${threads}`;
    $("drop-model").classList.add("filled");
    working(false);
  },
  progress({ done, total }) {
    const share = done / total;
    const left = ((performance.now() - began) / 1000) * (1 / share - 1);
    if (done) $("progress").value = share; // until then, it only shows that something goes on
    say(`Separating: ${Math.round(100 * share)} %${share > 0 ? `, ${clock(left)} left` : ""}`);
  },
  separate({ stems }) {
    working(false);
    show(stems);
    const seconds = (performance.now() - began) / 1000;
    say(`Done in ${seconds < 60 ? `${seconds.toFixed(1)} s` : clock(seconds)}.`);
  },
  failed({ of, text }) {
    const name = of === "load" ? $("model-name").textContent : track.name;
    if (of === "load") forgetModel();
    working(false);
    if (text === "Stopped.") say(text);
    else fail(`${name}: ${text}`);
  },
};
worker.onmessage = ({ data }) => answers[data.kind](data);
worker.onerror = (event) => {
  event.preventDefault();
  working(false);
  fail("The worker can't start: run `npm ci` in this folder, and open the page from a server.");
};

/** Take files that were dropped, or chosen `as` the "model" or the "track". */
async function take(files, as) {
  if (busy) return fail("Wait until this is done, or stop it.");
  const isModel = (file) => (as ? as === "model" : /\.onnx$/i.test(file.name));
  for (const file of files.filter((file) => !isModel(file))) takeTrack(file);
  for (const file of files.filter(isModel).slice(0, 1)) await takeModel(file);
}

async function takeModel(file) {
  forgetModel();
  $("model-name").textContent = file.name;
  working(true, "Loading the model …");
  $("stop").hidden = true;
  const bytes = new Uint8Array(await file.arrayBuffer());
  worker.postMessage({ kind: "load", bytes }, [bytes.buffer]);
}

function forgetModel() {
  about = null;
  $("model-name").textContent = "Choose or drop an .onnx file";
  $("drop-model").classList.remove("filled");
  $("model-about").textContent = "made by demucs-tf export --format onnx";
}

function takeTrack(file) {
  track = file;
  $("track-name").textContent = file.name;
  $("track-about").textContent = `${(file.size / 1e6).toFixed(1)} MB`;
  $("drop-track").classList.add("filled");
  ready();
}

async function start() {
  closePlayer();
  working(true, "Decoding the track …");
  try {
    const mix = await decode(track, about);
    began = performance.now();
    const buffers = mix.map((channel) => channel.buffer);
    worker.postMessage({ kind: "separate", mix }, buffers);
  } catch (error) {
    working(false);
    fail(error instanceof Problem ? error.message : `Something went wrong: ${error.message}`);
  }
}

function show(stems) {
  const name = track.name.replace(/\.[^.]*$/, "");
  player = new Player(stems, about.samplerate, tick);
  const rows = about.sources.map((source, k) => {
    const row = $("stem").content.cloneNode(true).firstElementChild;
    row.style.setProperty("--hue", (225 + 137.5 * k) % 360);
    row.querySelector("h2").textContent = source;
    for (const kind of ["mute", "solo"]) {
      const button = row.querySelector(`.${kind}`);
      button.setAttribute("aria-label", `${button.textContent} ${source}`);
      button.onclick = () => {
        button.setAttribute("aria-pressed", button.ariaPressed !== "true");
        mix(rows);
      };
    }
    const save = row.querySelector(".save");
    save.download = `${name} - ${source}.wav`;
    save.href = URL.createObjectURL(wav(stems[k], about.samplerate));
    save.setAttribute("aria-label", `Save ${source}`);
    return row;
  });
  $("stems").replaceChildren(...rows);
  $("result").hidden = false;
  const most = peakOf(stems);
  rows.forEach((row, k) => draw(row.querySelector("canvas"), stems[k], most));
  tick();
}

/** Let every stem be heard that is not muted, and only the solo ones if there are any. */
function mix(rows) {
  const pressed = (row, kind) => row.querySelector(`.${kind}`).ariaPressed === "true";
  const anySolo = rows.some((row) => pressed(row, "solo"));
  const volumes = rows.map((row) => +(!pressed(row, "mute") && (!anySolo || pressed(row, "solo"))));
  rows.forEach((row, k) => row.classList.toggle("silent", !volumes[k]));
  player.setVolumes(volumes);
}

function closePlayer() {
  player?.close();
  player = null;
  for (const save of document.querySelectorAll(".save")) URL.revokeObjectURL(save.href);
  $("stems").replaceChildren();
  $("result").hidden = true;
}

function tick() {
  if (!player) return;
  const { position, length, playing } = player;
  $("play").textContent = playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  $("seek").value = (1000 * position) / length;
  $("seek").setAttribute("aria-valuetext", clock(position));
  $("time").textContent = `${clock(position)} / ${clock(length)}`;
  if (playing) requestAnimationFrame(tick);
}

function working(on, text = "") {
  busy = on;
  $("error").hidden = true;
  $("work").hidden = !on;
  $("stop").hidden = !on;
  $("progress").hidden = !on;
  if (on) $("progress").removeAttribute("value");
  say(text);
  ready();
}

function ready() {
  $("start").disabled = busy || !about || !track;
  $("model").disabled = $("track").disabled = busy;
}

function say(text) {
  $("status").textContent = text;
  if (text) $("work").hidden = false;
}

function fail(text) {
  $("error").textContent = text;
  $("error").hidden = false;
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

for (const id of ["model", "track"]) {
  $(id).onchange = () => take([...$(id).files], id).finally(() => ($(id).value = ""));
}
$("form").onsubmit = (event) => {
  event.preventDefault();
  start();
};
$("stop").onclick = () => worker.postMessage({ kind: "stop" });
$("play").onclick = () => (player.playing ? player.pause() : player.play());
$("seek").oninput = () => player.seek(($("seek").value / 1000) * player.length);
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take([...event.dataTransfer.files]);
  });
}
