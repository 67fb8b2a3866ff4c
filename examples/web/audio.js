// Samples: from a file, to a file, and as a picture.

import { Problem } from "./model.js";

/** Decode a file at the model's rate, with the model's channels: one Float32Array each. */
export async function decode(file, { samplerate, audio_channels: channels }) {
  const context = new OfflineAudioContext(channels, 1, samplerate);
  let buffer;
  try {
    buffer = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Problem(`${file.name} can't be decoded: give a WAV, FLAC, MP3, M4A or Ogg file.`);
  }
  const found = Array.from({ length: buffer.numberOfChannels }, (_, k) => buffer.getChannelData(k));
  if (channels === 1) return [mono(found)];
  if (found.length === 1) return Array.from({ length: channels }, () => found[0].slice());
  if (found.length < channels) {
    throw new Problem(`${file.name} has ${found.length} channels, the model takes ${channels}.`);
  }
  return found.slice(0, channels).map((channel) => channel.slice());
}

function mono(channels) {
  return channels[0].map((_, i) => channels.reduce((sum, x) => sum + x[i], 0) / channels.length);
}

/** A WAV file of 32-bit floats, as the model gave them. */
export function wav(channels, rate) {
  const frames = channels[0].length;
  const bytes = frames * channels.length * 4;
  const header = new DataView(new ArrayBuffer(58));
  const text = (at, word) => [...word].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  const numbers = [
    [4, 4, 50 + bytes], [16, 4, 18], [20, 2, 3], [22, 2, channels.length], [24, 4, rate],
    [28, 4, rate * channels.length * 4], [32, 2, channels.length * 4], [34, 2, 32], [36, 2, 0],
    [42, 4, 4], [46, 4, frames], [54, 4, bytes],
  ];
  for (const [at, size, value] of numbers) header[`setUint${8 * size}`](at, value, true);
  [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [38, "fact"], [50, "data"]].forEach((each) => text(...each));
  const samples = new Float32Array(frames * channels.length);
  channels.forEach((channel, k) => {
    for (let i = 0; i < frames; i++) samples[i * channels.length + k] = channel[i];
  });
  return new Blob([header, samples], { type: "audio/wav" });
}

/** The largest sample of channels, or of lists of channels. */
export function peakOf(channels) {
  let peak = 0;
  for (const channel of channels.flat()) {
    for (let i = 0; i < channel.length; i++) peak = Math.max(peak, Math.abs(channel[i]));
  }
  return peak;
}

/** Draw the loudness of channels over time, `most` being as high as the canvas, in its colour. */
export function draw(canvas, channels, most) {
  const context = canvas.getContext("2d");
  const scale = window.devicePixelRatio || 1;
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale)));
  const height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale)));
  const samples = channels[0];
  const step = 3 * scale;
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x += step) {
    const from = Math.floor((x / width) * samples.length);
    const to = Math.max(from + 1, Math.floor(((x + step) / width) * samples.length));
    let peak = 0;
    for (let i = from; i < to && i < samples.length; i++) peak = Math.max(peak, Math.abs(samples[i]));
    const bar = Math.max(scale, (peak / (most || 1)) * height);
    context.fillRect(x, (height - bar) / 2, step - scale, bar);
  }
}
