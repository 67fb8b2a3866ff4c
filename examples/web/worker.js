// Runs the model, beside the page, so that the page stays alive.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { Problem, readMetadata, separate } from "./model.js";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
// Threads need a server that isolates the page, as serve.py does.
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
ort.env.logLevel = "error";

let about = null;
let session = null;
let stopped = false;

const commands = {
  async load({ bytes }) {
    const found = await readMetadata(bytes);
    await session?.release();
    session = null;
    try {
      session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    } catch (error) {
      throw new Problem(`ONNX Runtime can't load the model (${error.message}).`);
    }
    about = found;
    return { about, threads: ort.env.wasm.numThreads };
  },
  async separate({ mix }) {
    stopped = false;
    const stems = await separate(mix, about, run, progress);
    return { stems };
  },
};

async function run(chunk, length) {
  const mix = new ort.Tensor("float32", chunk, [1, about.audio_channels, length]);
  const { stems } = await session.run({ mix });
  const data = stems.data;
  stems.dispose();
  return data;
}

async function progress(done, total) {
  self.postMessage({ kind: "progress", done, total });
  await new Promise((resolve) => setTimeout(resolve)); // let a "stop" come in
  if (stopped) throw new Problem("Stopped.");
}

self.onmessage = async ({ data }) => {
  if (data.kind === "stop") {
    stopped = true;
    return;
  }
  try {
    const answer = await commands[data.kind](data);
    const buffers = (answer.stems ?? []).flat().map((stem) => stem.buffer);
    self.postMessage({ kind: data.kind, ...answer }, buffers);
  } catch (error) {
    const text = error instanceof Problem ? error.message : `Something went wrong: ${error.message}`;
    self.postMessage({ kind: "failed", of: data.kind, text });
  }
};
