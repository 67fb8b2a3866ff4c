"""The body of hybrid models: a U-Net on the spectrogram beside one on the waveform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from demucs_tf.blocks.decoder import HDecLayer
from demucs_tf.blocks.embedding import ScaledEmbedding
from demucs_tf.blocks.encoder import HEncLayer
from demucs_tf.blocks.multiwrap import MultiWrap
from demucs_tf.blocks.wiener import mark_silence, wiener
from demucs_tf.layers.base import weights_are_blank
from demucs_tf.layers.norm import mean as mean_of
from demucs_tf.layers.norm import unbiased_std
from demucs_tf.layers.shape import pad_axis, size
from demucs_tf.layers.spectral import TRANSFORMS, ispectro, pad1d, spectro
from demucs_tf.models.base import Model
from demucs_tf.models.init import rescale_convolutions

# Frames that the Wiener filter sees at a time.
_WIENER_WINDOW = 300


class HybridModel(Model):
    """What `HDemucsTF` and `HTDemucsTF` have in common; they say what the arguments mean.

    Shape: (B, A, T) -> (B, S, A, T).
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        if arguments["stft"] not in TRANSFORMS:
            raise ValueError(f"stft must be one of {TRANSFORMS}, got {arguments['stft']!r}.")
        if arguments["nfft"] % 4:
            raise ValueError(f"nfft must be a multiple of 4, got {arguments['nfft']}.")
        self.transform = arguments["stft"]
        self.cac = arguments["cac"]
        self.wiener_residual = arguments["wiener_residual"]
        self.wiener_iters = arguments["wiener_iters"]
        self.depth = arguments["depth"]
        self.channels = arguments["channels"]
        self.nfft = arguments["nfft"]
        self.hop_length = self.nfft // 4
        # HTDemucs has neither argument: it is always of the present hybrid kind.
        self.hybrid = arguments.get("hybrid", True)
        self.hybrid_old = arguments.get("hybrid_old", False)
        if self.hybrid_old and not self.hybrid:
            raise ValueError("hybrid_old is a kind of hybrid model: it needs hybrid=True.")
        if self.hybrid and self.wiener_iters != arguments["end_iters"]:
            raise ValueError(
                "A hybrid model needs wiener_iters equal to end_iters, got "
                f"{self.wiener_iters} and {arguments['end_iters']}."
            )
        if not self.cac and self.wiener_iters > 0 and self.audio_channels > 2:
            raise ValueError(
                "Wiener filtering is for one or two audio channels, got "
                f"{self.audio_channels}: set wiener_iters to 0 or less."
            )
        self._build_branches(arguments)
        if arguments["rescale"] and not weights_are_blank():
            rescale_convolutions(self, reference=arguments["rescale"])

    def _build_branches(self, given: Mapping[str, Any]) -> None:
        """Encoders and decoders, outermost layer first, and the embedding of frequencies."""
        dtype = self.compute_dtype
        chin = chin_z = self.audio_channels
        if self.cac:
            chin_z *= 2
        chout, chout_z = given["channels_time"] or given["channels"], given["channels"]
        freqs = self.nfft // 2
        encoder: list[Any] = []
        decoder: list[Any] = []
        tencoder: list[Any] = []
        tdecoder: list[Any] = []
        freq_emb: ScaledEmbedding | None = None
        for index in range(self.depth):
            freq = freqs > 1
            last_freq = freq and freqs <= given["kernel_size"]
            common = {
                "norm": index >= given["norm_starts"],
                "rewrite": given["rewrite"],
                "norm_groups": given["norm_groups"],
                "dtype": dtype,
                "dconv_kw": {
                    "lstm": index >= given.get("dconv_lstm", self.depth),
                    "attn": index >= given.get("dconv_attn", self.depth),
                    "depth": given["dconv_depth"],
                    "compress": given["dconv_comp"],
                    "init": given["dconv_init"],
                    "gelu": True,
                },
            }
            time = {"kernel_size": given["kernel_size"], "stride": given["stride"], "pad": True}
            here: dict[str, Any] = {**time, "pad": not last_freq}
            if last_freq:
                self._check_merge(index)
                here["kernel_size"] = freqs
                chout_z = chout = max(chout, chout_z)
            elif not freq:
                here = {
                    "kernel_size": 2 * given["time_stride"],
                    "stride": given["time_stride"],
                    "pad": True,
                }
            multi = given["multi_freqs"] and index < given["multi_freqs_depth"]
            if multi:
                if common["norm"] or not freq or last_freq:
                    raise ValueError(
                        "multi_freqs needs layers along frequency without norms: make "
                        f"multi_freqs_depth smaller or norm_starts larger (layer {index})."
                    )
                here["pad"] = False

            enc: dict[str, Any] = {
                **common,
                "dconv": given["dconv_mode"] & 1,
                "context": given["context_enc"],
            }
            dec: dict[str, Any] = {
                **common,
                "dconv": given["dconv_mode"] & 2,
                "context": given["context"],
                "last": index == 0,
                "context_freq": True,
            }
            encode = {**enc, **here, "freq": freq, "empty": False}
            make_encoder = _maker(HEncLayer, chin_z, chout_z, encode)
            encoder.append(self._layer(make_encoder, multi, False))
            if self.hybrid and freq:
                branch = {**enc, **time, "freq": False, "empty": last_freq}
                tencoder.append(HEncLayer(chin, chout, **branch))
            if index == 0:
                chin = chin_z = self.audio_channels * len(self.sources)
                if self.cac:
                    chin_z *= 2
            decode = {**dec, **here, "freq": freq, "empty": False}
            if multi:
                decode = {**decode, "last": True, "context_freq": False}
            make_decoder = _maker(HDecLayer, chout_z, chin_z, decode)
            decoder.insert(0, self._layer(make_decoder, multi, index == 0))
            if self.hybrid and freq:
                branch = {**dec, **time, "freq": False, "empty": last_freq}
                tdecoder.insert(0, HDecLayer(chout, chin, **branch))

            chin, chin_z = chout, chout_z
            chout, chout_z = int(given["growth"] * chout), int(given["growth"] * chout_z)
            if freq:
                freqs = 1 if freqs <= given["kernel_size"] else freqs // given["stride"]
            if index == 0 and given["freq_emb"]:
                freq_emb = ScaledEmbedding(
                    freqs,
                    chin_z,
                    factor=given["emb_scale"],
                    smooth=given["emb_smooth"],
                    dtype=dtype,
                )
                self.freq_emb_scale = given["freq_emb"]
        self.encoder, self.decoder = encoder, decoder
        if self.hybrid:
            self.tencoder, self.tdecoder = tencoder, tdecoder
        self.freq_emb = freq_emb  # last, as in the reference: packed states rely on the order

    def _check_merge(self, index: int) -> None:
        steps = self._arguments["stride"] ** (index + 1)
        if self.hybrid and steps != self.hop_length:
            raise ValueError(
                "Both branches merge where one frequency is left, and need the same number of "
                f"steps there: nfft must be {4 * steps} for {index + 1} layers along frequency "
                f"of stride {self._arguments['stride']}, got {self.nfft}."
            )

    def _layer(self, make: Any, multi: bool, last: bool) -> Any:
        if not multi:
            return make()
        return MultiWrap(make, self._arguments["multi_freqs"], last, dtype=self.compute_dtype)

    def check(self, mix: Any) -> None:
        """As the base class; and where the samples are known, they have to be numbers."""
        super().check(mix)
        # The reference compares the mixture with itself while padding, which NaN does not pass.
        if hasattr(mix, "numpy") and not tf.reduce_all(tf.math.is_finite(mix)):
            raise ValueError("mix has samples that are NaN or infinite.")

    # The forward pass, in the order of the reference's

    def _separate(self, mix: Any, **options: Any) -> Any:
        """(B, A, T) -> (B, S, A, T). `options` go to `_bottleneck`."""
        length = size(mix, -1)
        z = self._spec(mix)  # (B, F, T', A, 2)
        x = self._magnitude(z)  # (B, F, T', C)
        mean, std = self.step("mean", mean_of, x), self.step("std", unbiased_std, x)
        x = self.step("normalize", _normalize, x, mean, std)
        xt = None
        if self.hybrid:
            meant, stdt = self.step("mean_t", mean_of, mix), self.step("std_t", unbiased_std, mix)
            xt = self.step("normalize_t", _normalize, mix, meant, stdt)
            xt = tf.transpose(xt, [0, 2, 1])  # (B, T, A) from here to the last decoder layer
        x, xt = self._u_net(x, xt, options)

        x = self.step("denormalize", self._denormalize, x, std, mean)  # (B, F, T', S, A or 2 A)
        x = self._ispec(self._mask(z, x), length)
        if self.hybrid:
            xt = self.step("denormalize_t", self._denormalize_t, xt, stdt, meant)
            x = self.step("sum", tf.add, xt, x)
        return x

    def _spec(self, x: Any) -> Any:
        """(B, A, T) -> (B, nfft / 2, T', A, 2); hybrid models have T' = ceil(T / hop)."""
        hop, length = self.hop_length, size(x, -1)
        if self.hybrid:
            frames = -(-length // hop)
            pad, reflect = hop // 2 * 3, not self.hybrid_old
            x = self.step(
                "spec_pad", lambda x: pad1d(x, pad, pad + frames * hop - length, reflect), x
            )

        def transform(x: Any) -> Any:
            z = spectro(x, self.nfft, hop, self.transform)[:, :-1]
            return z[:, :, 2 : 2 + frames] if self.hybrid else z

        return self.step("stft", transform, x)

    def _magnitude(self, z: Any) -> Any:
        """(B, F, T, A, 2) -> (B, F, T, 2 A) with `cac`, otherwise (B, F, T, A)."""
        if not self.cac:
            return self.step("magnitude", _absolute, z)
        shape = [size(z, 0), z.shape[1], size(z, 2), 2 * self.audio_channels]
        return self.step("complex_as_channels", lambda z: tf.reshape(z, shape), z)

    def _u_net(self, x: Any, xt: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        saved, saved_t = [], []
        lengths, lengths_t = [], []
        inner = len(self.tencoder) if self.hybrid else 0
        for index, encode in enumerate(self.encoder):
            lengths.append(size(x, -2))
            inject = None
            if index < inner:
                lengths_t.append(size(xt, 1))
                tencode = self.tencoder[index]
                xt = tencode(xt)
                if tencode.empty:
                    inject = xt
                else:
                    saved_t.append(xt)
            x = encode(x) if inject is None else encode(x, inject)
            if index == 0 and self.freq_emb is not None:
                x = self._embed_frequencies(self.freq_emb, x)
            saved.append(x)

        x, xt = self._bottleneck(x, xt, **options)

        for index, decode in enumerate(self.decoder):
            x, pre = decode(x, saved.pop(), length=lengths.pop())
            if index < self.depth - inner:
                continue
            tdecode = self.tdecoder[index - (self.depth - inner)]
            if tdecode.empty:
                pre = self.step("branch", lambda pre: tf.squeeze(pre, 1), pre)
                xt, _ = tdecode(pre, length=lengths_t.pop())
            else:
                xt, _ = tdecode(xt, saved_t.pop(), length=lengths_t.pop())
        return x, xt

    def _bottleneck(self, x: Any, xt: Any, **options: Any) -> tuple[Any, Any]:
        """What happens between encoder and decoder."""
        raise NotImplementedError

    def _embed_frequencies(self, embedding: ScaledEmbedding, x: Any) -> Any:
        index = self.step("frequencies", lambda: tf.range(x.shape[1], dtype=tf.int64))
        return self.step(
            "embedding",
            lambda vectors, x: x + self.freq_emb_scale * vectors[:, None],
            embedding(index),  # (F, C)
            x,
        )

    def _denormalize(self, x: Any, std: Any, mean: Any) -> Any:
        sources = len(self.sources)
        x = tf.reshape(x, [size(x, 0), x.shape[1], size(x, 2), sources, x.shape[3] // sources])
        return x * std[..., None] + mean[..., None]

    def _denormalize_t(self, xt: Any, std: Any, mean: Any) -> Any:
        """(B, T, S A) -> (B, S, A, T)."""
        shape = [size(xt, 0), size(xt, 1), len(self.sources), self.audio_channels]
        xt = tf.transpose(tf.reshape(xt, shape), [0, 2, 3, 1])
        return xt * std[:, None] + mean[:, None]

    def _mask(self, z: Any, m: Any) -> Any:
        """Spectrograms of the sources: (B, F, T, A, 2), (B, F, T, S, C) -> (B, F, T, S, A, 2)."""
        if self.cac:
            shape = [size(m, 0), m.shape[1], size(m, 2), m.shape[3], self.audio_channels, 2]
            return self.step("channels_as_complex", lambda m: tf.reshape(m, shape), m)
        if self.wiener_iters < 0:
            return self.step("mask", _phase_times_magnitude, z, m)
        return self._wiener(m, z)

    def _wiener(self, magnitudes: Any, z: Any) -> Any:
        """The Wiener filter on windows of 300 frames."""
        targets = self.step(  # (B, T, F, A, S)
            "wiener_targets", lambda m: tf.transpose(m, [0, 2, 1, 4, 3]), magnitudes
        )
        mixture = self.step("wiener_mixture", lambda z: tf.transpose(z, [0, 2, 1, 3, 4]), z)
        mixture = mark_silence(mixture)
        batch, frames = size(mixture, 0), size(mixture, 1)
        if isinstance(batch, int) and isinstance(frames, int):
            sources = [self._wiener_of_sample(targets[b], mixture[b], frames) for b in range(batch)]
        else:
            sources = [self._wiener_of_any(targets, mixture)]

        def stack(*sources: Any) -> Any:
            stacked = tf.stack(sources) if isinstance(batch, int) else sources[0]
            stacked = stacked[..., : len(self.sources), :]  # without the residual
            return tf.transpose(stacked, [0, 2, 1, 4, 3, 5])  # (B, F, T, S, A, 2)

        return self.step("wiener_stack", stack, *sources)

    def _wiener_of_sample(self, targets: Any, mixture: Any, frames: int) -> Any:
        """(T, F, A, S), (T, F, A, 2) -> (T, F, A, S, 2)."""
        windows = []
        for start in range(0, frames, _WIENER_WINDOW):
            window = slice(start, start + _WIENER_WINDOW)
            windows.append(self._wiener_of_window(targets[window], mixture[window]))
        return self.step("wiener_windows", lambda *windows: tf.concat(windows, 0), *windows)

    def _wiener_of_window(self, targets: Any, mixture: Any) -> Any:
        sources = wiener(targets, mixture, self.wiener_iters, self.wiener_residual, self.step)
        return self.step("wiener_turn", lambda y: tf.transpose(y, [0, 1, 2, 4, 3]), sources)

    def _wiener_of_any(self, targets: Any, mixture: Any) -> Any:
        """The same where the number of items or frames is unknown: zeros fill the last window."""
        batch, frames = tf.shape(mixture)[0], tf.shape(mixture)[1]
        count = -(-frames // _WIENER_WINDOW)

        def windows(x: Any) -> Any:
            padded = pad_axis(x, 0, count * _WIENER_WINDOW - frames, axis=1)
            return tf.reshape(padded, [-1, _WIENER_WINDOW, *x.shape[2:]])

        sources = tf.map_fn(
            lambda pair: self._wiener_of_window(*pair),
            (windows(targets), windows(mixture)),
            fn_output_signature=mixture.dtype,
        )
        rows = tf.reshape(sources, [batch, count * _WIENER_WINDOW, *sources.shape[2:]])
        return rows[:, :frames]

    def _ispec(self, z: Any, length: Any) -> Any:
        """(B, F, T', S, A, 2) -> (B, S, A, T)."""
        hop = self.hop_length
        margin = 2 if self.hybrid else 0

        def pad(z: Any) -> Any:
            return pad_axis(pad_axis(z, 0, 1, axis=1), margin, margin, axis=2)

        z = self.step("ispec_pad", pad, z)
        start, whole = 0, length
        if self.hybrid:
            start = 0 if self.hybrid_old else hop // 2 * 3
            whole = hop * -(-length // hop) + 2 * start

        def inverse(z: Any) -> Any:
            shape = [size(z, 0), z.shape[1], size(z, 2), z.shape[3] * z.shape[4], 2]
            x = ispectro(tf.reshape(z, shape), hop, whole, self.transform)
            return tf.reshape(x, [size(z, 0), z.shape[3], z.shape[4], whole])

        x = self.step("istft", inverse, z)
        if not self.hybrid:
            return x
        return self.step("ispec_crop", lambda x: x[..., start : start + length], x)


def _maker(cls: Any, chin: int, chout: int, options: dict[str, Any]) -> Any:
    return lambda: cls(chin, chout, **options)


def _normalize(x: Any, mean: Any, std: Any) -> Any:
    return (x - mean) / (1e-5 + std)


def _absolute(z: Any) -> Any:
    """Magnitude, (..., 2) -> (...), with a gradient of zero where it is zero."""
    energy = tf.square(z[..., 0]) + tf.square(z[..., 1])
    silent = tf.equal(energy, 0)
    return tf.where(silent, energy, tf.sqrt(tf.where(silent, tf.ones_like(energy), energy)))


def _phase_times_magnitude(z: Any, m: Any) -> Any:
    """(B, F, T, A, 2), (B, F, T, S, A) -> (B, F, T, S, A, 2)."""
    phase = z / (1e-8 + _absolute(z)[..., None])
    return phase[:, :, :, None] * m[..., None]
