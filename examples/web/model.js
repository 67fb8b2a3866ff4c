// What an exported .onnx file says of itself, and how a track becomes chunks and stems again.
// Nothing here knows of the page or of ONNX Runtime.

const FORMAT = 1;
const METADATA_PROPS = 14; // the field's number in ONNX's ModelProto
const EXPORT = "make one by demucs-tf export NAME --format onnx -o model.onnx";

/** A problem that the user can solve; its message says how. */
export class Problem extends Error {}

/** Read and verify the data about the model behind an exported file (Uint8Array). */
export async function readMetadata(bytes) {
  let last = null;
  try {
    for (const field of fields(bytes)) last = field;
  } catch {
    throw new Problem(`This is no ONNX model, or it was cut off: ${EXPORT}`);
  }
  const entry = last?.number === METADATA_PROPS ? [...fields(last.data)] : [];
  const [key, value] = entry.map((field) => new TextDecoder().decode(field.data));
  if (key !== "demucs_tf") throw new Problem(`This model was not exported by demucs_tf: ${EXPORT}`);
  const about = JSON.parse(value);
  if (about.format !== FORMAT) {
    throw new Problem(
      `The model has format ${about.format}, written by demucs_tf ${about.demucs_tf}, and this page ` +
        `reads ${FORMAT}: export it again.`,
    );
  }
  if (globalThis.crypto?.subtle && (await sha256(bytes.subarray(0, last.start))) !== about.checksum) {
    throw new Problem("The model's file is damaged or was changed: export it again.");
  }
  return about;
}

/** The fields of a protobuf message, as {number, start, data}. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let place = 0; place < 10; place++) {
      if (at >= bytes.length) throw new RangeError("cut off");
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw new RangeError("no varint");
  };
  while (at < bytes.length) {
    const start = at;
    const key = varint();
    const kind = key % 8;
    if (![0, 1, 2, 5].includes(kind)) throw new RangeError("no message");
    const length = kind === 0 ? (varint(), 0) : kind === 1 ? 8 : kind === 5 ? 4 : varint();
    if (at + length > bytes.length) throw new RangeError("cut off");
    yield { number: Math.floor(key / 8), start, data: bytes.subarray(at, at + length) };
    at += length;
  }
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** To how many samples the model wants a chunk of `size` padded. */
function paddedLength(size, about) {
  if (!about.any_length || about.training_length) return about.length;
  if (!about.valid_length) return size;
  const { depth, kernel_size: kernel, stride, resample } = about.valid_length;
  let length = resample ? 2 * size : size;
  for (let i = 0; i < depth; i++) length = Math.max(1, Math.ceil((length - kernel) / stride) + 1);
  for (let i = 0; i < depth; i++) length = (length - 1) * stride + kernel;
  return resample ? Math.ceil(length / 2) : length;
}

/** Mean and deviation of the mono mix of [channel][sample]. */
function level(mix) {
  const mono = new Float64Array(mix[0].length);
  for (const channel of mix) channel.forEach((x, i) => (mono[i] += x / mix.length));
  const mean = mono.reduce((sum, x) => sum + x, 0) / mono.length;
  const squares = mono.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return [mean, Math.sqrt(squares / (mono.length - 1)) + 1e-8];
}

/**
 * Separate a track: chunks that overlap by a quarter and fade into each other.
 *
 * @param {Float32Array[]} mix one array a channel, at the model's rate.
 * @param {object} about what `readMetadata` gave.
 * @param {(mix: Float32Array, length: number) => Promise<Float32Array>} run the model on one chunk,
 *   (A, T) to (S, A, T), flat.
 * @param {(done: number, total: number) => Promise<void>} progress in samples; it may throw to stop.
 * @returns {Promise<Float32Array[][]>} [source][channel]
 */
export async function separate(mix, about, run, progress) {
  const { segment, audio_channels: channels } = about;
  const total = mix[0].length;
  if (total < 2) throw new Problem("The track is too short: at least 2 samples are needed.");
  const [mean, std] = level(mix);
  const stems = about.sources.map(() => mix.map(() => new Float32Array(total)));
  const weights = new Float32Array(total);
  const fade = Float32Array.from({ length: segment }, (_, i) => Math.min(i + 1, segment - i));
  const stride = Math.trunc(0.75 * segment);
  for (let start = 0; start < total; start += stride) {
    await progress(start, total);
    const size = Math.min(segment, total - start);
    const length = paddedLength(size, about);
    const first = start - Math.floor((length - size) / 2); // its neighbours around it
    const input = new Float32Array(channels * length);
    for (let a = 0; a < channels; a++) {
      for (let i = Math.max(0, -first); i < Math.min(length, total - first); i++) {
        input[a * length + i] = (mix[a][first + i] - mean) / std;
      }
    }
    const out = await run(input, length);
    for (let i = 0; i < size; i++) weights[start + i] += fade[i];
    stems.flat().forEach((stem, row) => {
      const offset = row * length + start - first;
      for (let i = 0; i < size; i++) stem[start + i] += fade[i] * out[offset + i];
    });
  }
  for (const stem of stems.flat()) {
    for (let i = 0; i < total; i++) stem[i] = (stem[i] / weights[i]) * std + mean;
  }
  await progress(total, total);
  return stems;
}
