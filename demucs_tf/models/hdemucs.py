"""Hybrid Demucs, and Demucs on the spectrogram alone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from demucs_tf.models.config import HDemucsConfig
from demucs_tf.models.hybrid import HybridModel


@keras.saving.register_keras_serializable(package="demucs_tf")
class HDemucsTF(HybridModel):
    """Demucs on the spectrogram, with a branch on the waveform beside it.

    Args:
        sources: names of the stems, in the order of the output.
        audio_channels: A; 2 for stereo, 1 for mono.
        channels: feature channels of the first encoder layer.
        channels_time: the same for the time branch; None: as `channels`.
        growth: each further layer has this many times more.
        nfft: length of the Fourier transform, a multiple of 4.
        wiener_iters: without `cac`, iterations of the Wiener filter; negative: only masks.
        end_iters: the same in training; hybrid models need the same number.
        wiener_residual: let the Wiener filter have one more source, for what is left over.
        cac: complex numbers as channels; otherwise magnitudes in and masks out.
        depth: number of encoder, and of decoder, layers.
        rewrite: follow each strided convolution by a 1x1 convolution.
        hybrid: have a time branch.
        hybrid_old: pad as the models of the Music Demixing Challenge 2021 did, which was a mistake.
        multi_freqs: where to split frequencies into bands with weights of their own, as shares.
        multi_freqs_depth: number of outer layers that are split.
        freq_emb: weight of the embedding of frequencies behind the first layer; 0 for none.
        emb_scale: factor inside that embedding.
        emb_smooth: draw its initial values as a random walk.
        kernel_size: of the strided convolutions.
        time_stride: stride of layers behind the merge of both branches.
        stride: of the strided convolutions.
        context: the decoder's convolutions look this many steps to either side.
        context_enc: the same for the encoder's.
        norm_starts: index of the first layer with GroupNorm.
        norm_groups: groups of those GroupNorms.
        dconv_mode: residual branches in 0: no layer, 1: the encoder, 2: the decoder, 3: both.
        dconv_depth: branches of a layer; a negative number switches dilation off.
        dconv_comp: compression inside a branch.
        dconv_attn: index of the first layer whose branches have attention.
        dconv_lstm: index of the first layer whose branches have an LSTM.
        dconv_init: initial factor of a branch.
        rescale: bring the initial weights' deviation closer to this; 0 or None: leave them.
        samplerate: of the audio, in Hz; kept for `apply_model`.
        segment: length of the pieces that `apply_model` cuts, in seconds.
        stft: "fft", or "dft" for a Fourier transform without complex numbers.
        dtype: "float32", or "float64" for the strict mode.

    Shape: (B, A, T) -> (B, S, A, T), channels first as in the reference. Any T >= 1 with `hybrid`,
    without it any T > nfft / 2.

    Raises:
        ValueError: an impossible combination of arguments, or input of the wrong shape or type.

    Reference: demucs/hdemucs.py::HDemucs
    """

    config: HDemucsConfig
    config_class = HDemucsConfig

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.hybrid and not any(layer.empty for layer in self.tencoder):
            raise ValueError(
                f"A hybrid model of {self.depth} layers on {self.nfft // 2} frequencies does not "
                "reach the layer where both branches merge: raise depth or lower nfft."
            )
        self._complete()

    def call(self, mix: Any, training: bool = False) -> Any:
        """(B, A, T) -> (B, S, A, T)."""
        mix = self.check(mix)
        return self._separate(tf.ensure_shape(mix, [None, self.audio_channels, None]), training)

    def _bottleneck(self, x: Any, xt: Any, **_: Any) -> tuple[Any, Any]:
        # QUIRK demucs/hdemucs.py:742: the decoder starts from zeros; all it has are the skips.
        x = self.step("restart", tf.zeros_like, x)
        if self.hybrid:
            xt = self.step("restart_t", tf.zeros_like, x)
        return x, xt
