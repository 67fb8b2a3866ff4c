"""The body of hybrid models: a U-Net on the spectrogram beside one on the waveform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from demucs_tf.blocks.embedding import ScaledEmbedding
from demucs_tf.blocks.spectrogram import Spectrogram
from demucs_tf.layers.norm import mean as mean_of
from demucs_tf.layers.norm import unbiased_std
from demucs_tf.layers.shape import lengths, reshape, size
from demucs_tf.models.base import Model
from demucs_tf.models.branches import Layers, Row, rows
from demucs_tf.models.config import HybridConfig


class HybridModel(Spectrogram, Model):
    """What `HDemucsTF` and `HTDemucsTF` have in common; they say what the arguments mean.

    Shape: (B, A, T) -> (B, S, A, T). On the spectrogram inside (B, F, T', C), on the waveform
    (B, T, C).
    """

    config: HybridConfig

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        config = self.config
        self.transform = config.stft
        self.cac = config.cac
        self.wiener_residual = config.wiener_residual
        self.wiener_iters = config.wiener_iters
        self.end_iters = config.end_iters
        self.depth = config.depth
        self.channels = config.channels
        self.nfft = config.nfft
        self.hop_length = config.nfft // 4
        self.hybrid = config.hybrid
        self.hybrid_old = config.hybrid_old
        self._make_branches(rows(config))
        self._rescale(config.rescale)

    def _make_branches(self, rows: list[Row]) -> None:
        # The order is the reference's: states that diffq packed rely on it.
        make = Layers(self.config, self.compute_dtype)
        self.encoder = [make.encoder(row) for row in rows]
        self.decoder = [make.decoder(row) for row in reversed(rows)]
        if self.hybrid:
            beside = [row for row in rows if row.freq]
            self.tencoder = [make.tencoder(row) for row in beside]
            self.tdecoder = [make.tdecoder(row) for row in reversed(beside)]
        self.freq_emb = None
        if self.config.freq_emb:
            self.freq_emb = make.freq_emb(rows[0])
            self.freq_emb_scale = self.config.freq_emb

    def check(self, mix: Any) -> Any:
        """As the base class; and where the samples are known, they have to be numbers."""
        mix = super().check(mix)
        # The reference compares the mixture with itself while padding, which NaN does not pass.
        if hasattr(mix, "numpy") and not tf.reduce_all(tf.math.is_finite(mix)):
            raise ValueError("mix has samples that are NaN or infinite.")
        return mix

    # The forward pass, in the order of the reference's

    def _separate(self, mix: Any, training: bool = False, **options: Any) -> Any:
        """(B, A, T) -> (B, S, A, T). `options` go to `_bottleneck`."""
        length = size(mix, -1)
        z = self._spec(mix)  # (B, F, T', A, 2)
        x = self._magnitude(z)  # (B, F, T', C)

        mean = self.step("mean", mean_of, x)  # (B, 1, 1, 1)
        std = self.step("std", unbiased_std, x)
        x = self.step("normalize", _normalize, x, mean, std)
        xt = None
        if self.hybrid:
            meant = self.step("mean_t", mean_of, mix)  # (B, 1, 1)
            stdt = self.step("std_t", unbiased_std, mix)
            xt = self.step("normalize_t", _normalize, mix, meant, stdt)
            xt = tf.transpose(xt, [0, 2, 1])  # (B, T, A)

        x, xt, saved = self._encode(x, xt)
        x, xt = self._bottleneck(x, xt, **options)
        x, xt = self._decode(x, xt, saved)

        x = self.step("denormalize", self._denormalize, x, std, mean)  # (B, F, T', S, C)
        zout = self._mask(
            z, x, self.end_iters if training else self.wiener_iters
        )  # (B, F, T', S, A, 2)
        x = self._ispec(zout, length)  # (B, S, A, T)
        if self.hybrid:
            xt = self.step("denormalize_t", self._denormalize_t, xt, stdt, meant)  # (B, S, A, T)
            x = self.step("sum", tf.add, xt, x)
        return x

    def _encode(self, x: Any, xt: Any) -> tuple[Any, Any, _Saved]:
        saved = _Saved()
        for index, encode in enumerate(self.encoder):
            saved.lengths.append(size(x, -2))
            inject = None
            if self.hybrid and index < len(self.tencoder):
                saved.lengths_t.append(size(xt, 1))
                tencode = self.tencoder[index]
                xt = tencode(xt)  # (B, T / stride^(index + 1), C)
                if tencode.empty:
                    inject = xt
                else:
                    saved.skips_t.append(xt)
            x = encode(x) if inject is None else encode(x, inject)  # (B, F', T', C), (B, T', C)
            if index == 0 and self.freq_emb is not None:
                x = self._embed_frequencies(self.freq_emb, x)
            saved.skips.append(x)
        return x, xt, saved

    def _bottleneck(self, x: Any, xt: Any, **options: Any) -> tuple[Any, Any]:
        """What happens between encoder and decoder."""
        raise NotImplementedError

    def _decode(self, x: Any, xt: Any, saved: _Saved) -> tuple[Any, Any]:
        offset = self.depth - len(self.tdecoder) if self.hybrid else self.depth
        for index, decode in enumerate(self.decoder):
            x, pre = decode(x, saved.skips.pop(), length=saved.lengths.pop())  # (B, F', T', C)
            if index < offset:
                continue
            tdecode = self.tdecoder[index - offset]
            length = saved.lengths_t.pop()
            if tdecode.empty:
                pre = self.step("branch", lambda pre: tf.squeeze(pre, 1), pre)  # (B, T', C)
                xt, _ = tdecode(pre, length=length)
            else:
                xt, _ = tdecode(xt, saved.skips_t.pop(), length=length)  # (B, length, C)
        return x, xt

    def _embed_frequencies(self, embedding: ScaledEmbedding, x: Any) -> Any:
        index = self.step("frequencies", lambda: tf.range(x.shape[1], dtype=tf.int64))  # (F)
        return self.step(
            "embedding",
            lambda vectors, x: x + self.freq_emb_scale * tf.expand_dims(vectors, 1),
            embedding(index),  # (F, C)
            x,
        )

    def _denormalize(self, x: Any, std: Any, mean: Any) -> Any:
        """(B, F, T', S C) -> (B, F, T', S, C), where C is A or, with `cac`, 2 A."""
        shape = [*lengths(x)[:3], len(self.sources), x.shape[3] // len(self.sources)]
        return reshape(x * std + mean, shape)

    def _denormalize_t(self, xt: Any, std: Any, mean: Any) -> Any:
        """(B, T, S A) -> (B, S, A, T)."""
        shape = [*lengths(xt)[:2], len(self.sources), self.audio_channels]
        xt = tf.transpose(reshape(xt, shape), [0, 2, 3, 1])
        return xt * std[:, None] + mean[:, None]


@dataclass
class _Saved:
    """What the encoders leave for the decoders: skip connections, and the lengths to come back to.

    Those with `_t` are of the branch on the waveform.
    """

    skips: list[Any] = field(default_factory=list)
    skips_t: list[Any] = field(default_factory=list)
    lengths: list[Any] = field(default_factory=list)
    lengths_t: list[Any] = field(default_factory=list)


def _normalize(x: Any, mean: Any, std: Any) -> Any:
    return (x - mean) / (1e-5 + std)
