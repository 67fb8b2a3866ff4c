// Plays stems together, to the sample, each with a volume of its own.

export class Player {
  #context = null;
  #nodes = [];
  #gains = [];
  #started = 0;

  /**
   * @param {Float32Array[][]} stems [source][channel]
   * @param {number} rate Hz
   * @param {() => void} changed called when it starts, stops or ends by itself
   */
  constructor(stems, rate, changed) {
    this.stems = stems;
    this.rate = rate;
    this.changed = changed;
    this.length = stems[0][0].length / rate; // seconds
    this.volumes = stems.map(() => 1);
    this.playing = false;
    this.at = 0; // seconds, where it stands while it does not play
  }

  get position() {
    if (!this.playing) return this.at;
    return Math.min(this.length, this.at + this.#context.currentTime - this.#started);
  }

  async play() {
    this.#context ??= new AudioContext();
    await this.#context.resume();
    if (this.playing) return;
    if (this.at >= this.length) this.at = 0;
    this.#buffers ??= this.stems.map((channels) => {
      const buffer = new AudioBuffer({
        length: channels[0].length, numberOfChannels: channels.length, sampleRate: this.rate,
      });
      channels.forEach((channel, k) => buffer.copyToChannel(channel, k));
      return buffer;
    });
    this.#started = this.#context.currentTime;
    this.#gains = this.volumes.map((gain) => new GainNode(this.#context, { gain }));
    this.#nodes = this.#buffers.map((buffer, k) => {
      const node = new AudioBufferSourceNode(this.#context, { buffer });
      node.connect(this.#gains[k]).connect(this.#context.destination);
      node.start(this.#started, this.at);
      return node;
    });
    this.#nodes[0].onended = () => this.pause();
    this.playing = true;
    this.changed();
  }

  #buffers = null;

  pause() {
    if (!this.playing) return;
    this.at = this.position;
    this.playing = false;
    for (const node of this.#nodes) {
      node.onended = null;
      node.stop();
    }
    this.changed();
  }

  async seek(seconds) {
    const playing = this.playing;
    this.pause();
    this.at = Math.max(0, Math.min(this.length, seconds));
    if (playing) await this.play();
  }

  setVolumes(volumes) {
    this.volumes = volumes;
    this.#gains.forEach((node, k) => node.gain.setTargetAtTime(volumes[k], 0, 0.01));
  }

  close() {
    this.pause();
    this.#context?.close();
  }
}
