"""What a pass of a model takes, in memory and in work, estimated from its configuration.

The model is made of stages that work one after another. Each takes a polynomial of the length of
the input, of which attention makes the square, from a table of what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Numbers that live at once, where a layer is busy:
_MAPS = 5.7  # as wide as its output: its input, both halves of its GLU, and their copies on the way
_PLAIN = 4  # the same without GLU, or inside a residual branch
_LSTM = 40  # for each channel of an LSTM, both directions: inputs of four gates, and their copies
_FRAMES = 180  # the same of a residual branch, where frames overlap
_STEP = 600  # for each step of a loop: what TensorFlow needs to keep a row, however narrow
_PAIR = 26  # for each pair of steps of LocalState: four heads, five copies, and distances
_OUTPUTS = 2  # spectrograms of the output: bins, their frames, and copies
_SIGNALS = 5  # mixture and stems, and their copies
_TOKENS = 12  # as wide as the transformer: residuals, queries, keys, values, norms
_HIDDEN = 3  # as wide as its linear maps: GELU
_SCORES = 1300  # for each head and key: the blocks of 384 queries that are under way
_WIENER = 4  # matrices for each bin and source
_WEIGHTS = 0.5  # copies that convolutions make of theirs
_FIXED = 290 * 10**6  # bytes of a pass however short: its graph, thread pools

# Work, in multiply-adds. A processor did some 30 to 60 thousand million of them in a second.
_HTDEMUCS = 584e3 * 44100  # for a second of audio, of the 7.8 that htdemucs sees
_TOUCH = 100  # for each number of a map that passes through memory, as all its copies do
_EXPONENTIAL = 40  # for a score and its softmax
_PENALISED = 2000  # for four heads' scores of LocalState, each of which passes through memory
_LOOP = 5e6  # for a step of a loop, however narrow


@dataclass(frozen=True)
class Stage:
    """What a part of a model takes while it works, by the length of its input.

    Attributes:
        held: numbers that live only then, for each sample of an item, and for each sample squared.
        done: multiply-adds, for each sample, and for each sample squared.
        weights: about how many numbers it has as weights.
    """

    held: tuple[float, float]
    done: tuple[float, float]
    weights: float = 0


@dataclass(frozen=True)
class Cost:
    """What a pass takes, by the length of its input.

    Attributes:
        kept: numbers that live through all stages, for each sample of an item.
        branches: stages of the encoders and decoders, one at a time; both branches work at once.
        others: those before, between and behind them, each alone.
    """

    kept: float
    branches: list[list[Stage]]
    others: list[Stage]

    def bytes(self, length: int, items: int, size: int) -> float:
        """Memory above the model itself, of numbers of `size` bytes."""
        at_once = sum(_most_held(branch, length) for branch in self.branches)
        busiest = max(at_once, _most_held(self.others, length))
        weights = _WEIGHTS * sum(stage.weights for stage in self._stages)
        return _FIXED + size * (weights + items * length * (self.kept + busiest))

    def work(self, length: int, rate: int) -> float:
        """Work for each second, of `rate` samples, in times of what htdemucs takes."""
        return rate * sum(_polynomial(stage.done, length) for stage in self._stages) / _HTDEMUCS

    @property
    def _stages(self) -> list[Stage]:
        return sum(self.branches, self.others)


def _most_held(stages: list[Stage], length: int) -> float:
    return max((_polynomial(stage.held, length) for stage in stages), default=0)


def _polynomial(coefficients: tuple[float, float], length: int) -> float:
    return coefficients[0] + coefficients[1] * length


def cost_of(config: Any) -> Cost:
    """What a pass of a model of that configuration takes."""
    spectral = hasattr(config, "nfft")
    branches = _hybrid_branches(config) if spectral else [_waveform_branch(config)]
    others = []
    if spectral:
        others.append(_spectrogram(config))
    if getattr(config, "lstm_layers", 0):
        others.append(_lstm(config.lstm_layers, branches[0][-1]))
    if getattr(config, "t_layers", 0):
        others.append(_transformer(config, branches))
    skips = sum(layer.points * layer.chout for branch in branches for layer in branch)
    signals = config.audio_channels * (1 + len(config.sources))
    stages = [[stage for layer in branch for stage in _layer(config, layer)] for branch in branches]
    return Cost(skips + _SIGNALS * signals, stages, others)


@dataclass(frozen=True)
class _Layer:
    """A layer of the encoder, and that of the decoder which takes its output.

    Attributes:
        index: 0 is the outermost.
        rows: sequences beside each other: its frequencies.
        rate: steps of each for each sample of the model's input.
        chin, chout: channels that the encoder's takes and gives.
        kernel: of the strided convolutions.
        rewrite: sizes of the other convolutions, the encoder's and the decoder's.
    """

    index: int
    rows: int
    rate: float
    chin: int
    chout: int
    kernel: int
    rewrite: tuple[int, int]

    @property
    def points(self) -> float:
        """Positions for each sample of the model's input."""
        return self.rows * self.rate


def _waveform_branch(config: Any) -> list[_Layer]:
    rate, chin, chout = 2.0 if config.resample else 1.0, config.audio_channels, config.channels
    rewrite, layers = (1, 2 * config.context + 1), []
    for index in range(config.depth):
        rate /= config.stride
        layers.append(_Layer(index, 1, rate, chin, chout, config.kernel_size, rewrite))
        chin, chout = chout, int(config.growth * chout)
    return layers


def _hybrid_branches(config: Any) -> list[list[_Layer]]:
    from demucs_tf.models.branches import rows

    rate, rate_t = 4 / config.nfft, 1.0
    rewrite = (2 * config.context_enc + 1, 2 * config.context + 1)
    square = (rewrite[0] ** 2, rewrite[1] ** 2)
    spectrogram: list[_Layer] = []
    waveform: list[_Layer] = []
    for row in rows(config):
        freqs, kernel = 1, config.kernel_size
        if not row.freq:
            kernel = 2 * config.time_stride
            rate /= config.time_stride
        elif not row.last_freq:
            freqs = row.freqs // config.stride
        spectrogram.append(_Layer(row.index, freqs, rate, row.chin_z, row.chout_z, kernel, square))
        if config.hybrid and row.freq and not row.last_freq:
            rate_t /= config.stride
            kernel = config.kernel_size
            waveform.append(_Layer(row.index, 1, rate_t, row.chin, row.chout, kernel, rewrite))
    return [spectrogram, waveform]


def _layer(config: Any, layer: _Layer) -> Iterator[Stage]:
    points, chin, chout = layer.points, layer.chin, layer.chout
    rewrite = layer.rewrite if config.rewrite else (0, 0)
    # Long sums of products come in parts: see `layers/conv.py`.
    parts = max(layer.kernel * chin, 2 * max(rewrite) * chout) / 512
    weights = 2 * layer.kernel * chin * chout + 2 * sum(rewrite) * chout**2
    maps = max(_MAPS if config.rewrite else _PLAIN, parts)
    yield Stage((points * chout * maps, 0), (points * (weights + _TOUCH * chout), 0), weights)

    branches = config.dconv_mode.bit_count() * abs(config.dconv_depth)
    hidden = int(chout / config.dconv_comp) if branches else 0
    weights = branches * 5 * chout * hidden
    done = points * (weights + branches * _TOUCH * chout)
    yield Stage((points * chout * _PLAIN, 0), (done, 0), weights)
    if layer.index >= config.dconv_lstm:  # two layers, on frames that overlap by half
        weights = branches * 42 * hidden**2
        done = points * 2 * (weights + branches * 40 * _TOUCH * hidden)
        yield Stage((points * _FRAMES * hidden, 0), (done, 0), weights)
    if layer.index >= config.dconv_attn and hidden:
        weights, pairs = branches * 4 * hidden**2, layer.rows * layer.rate**2
        done_pairs = pairs * branches * (2 * hidden + _PENALISED)
        yield Stage(
            (points * chout * _PLAIN, pairs * _PAIR), (points * weights, done_pairs), weights
        )


def _lstm(layers: int, innermost: _Layer) -> Stage:
    rate, width = innermost.rate, innermost.chout
    weights = layers * 24 * width**2
    held = rate * (_LSTM * width + _STEP)
    return Stage((held, 0), (rate * (weights + layers * _LOOP), 0), weights)


def _transformer(config: Any, branches: list[list[_Layer]]) -> Stage:
    width = int(config.channels * config.growth ** (config.depth - 1))
    dim = config.bottom_channels or width
    hidden = int(dim * config.t_hidden_scale)
    tokens = [branch[-1].points for branch in branches if branch]
    held = sum(tokens) * (_TOKENS * dim + _HIDDEN * hidden)
    held += max(tokens) * config.t_heads * _SCORES
    weights = config.t_layers * (4 * dim**2 + 2 * dim * hidden)
    linear = weights + config.t_layers * _TOUCH * (dim + hidden)
    pairs = config.t_layers * (2 * dim + config.t_heads * _EXPONENTIAL)
    done = sum(tokens) * linear, sum(each**2 for each in tokens) * pairs
    return Stage((held, 0), done, len(tokens) * weights)


def _spectrogram(config: Any) -> Stage:
    """The way there and back: nfft / 2 bins of two numbers in each hop of nfft / 4 samples."""
    stems = len(config.sources)
    numbers = 4 * (1 + stems) * config.audio_channels
    held, done = _OUTPUTS * numbers, numbers * (config.nfft if config.stft == "dft" else _TOUCH)
    if not config.cac and config.wiener_iters > 0:
        matrices = 4 * config.audio_channels**2 * (stems + config.wiener_residual)
        held += _WIENER * matrices
        done += config.wiener_iters * matrices * 5 * _TOUCH
    return Stage((held, 0), (done, 0))
