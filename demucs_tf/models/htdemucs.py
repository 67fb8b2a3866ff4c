"""Hybrid Transformer Demucs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import keras
import tensorflow as tf

from demucs_tf.blocks.transformer import CrossTransformerEncoder
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.shape import pad_axis, size
from demucs_tf.layers.spectral import Transform
from demucs_tf.models.hybrid import HybridModel


@keras.saving.register_keras_serializable(package="demucs_tf")
class HTDemucsTF(HybridModel):
    """Hybrid Demucs with a transformer between encoder and decoder.

    Args:
        sources: names of the stems, in the order of the output.
        audio_channels: A; 2 for stereo, 1 for mono.
        channels: feature channels of the first encoder layer.
        channels_time: the same for the time branch; None: as `channels`.
        growth: each further layer has this many times more.
        nfft: length of the Fourier transform, a multiple of 4.
        wiener_iters: without `cac`, iterations of the Wiener filter; negative: only masks.
        end_iters: the same in training; has to be the same number.
        wiener_residual: let the Wiener filter have one more source, for what is left over.
        cac: complex numbers as channels; otherwise magnitudes in and masks out.
        depth: number of encoder, and of decoder, layers.
        rewrite: follow each strided convolution by a 1x1 convolution.
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
        dconv_init: initial factor of a branch.
        bottom_channels: width of the transformer; 0: that of the last encoder layer.
        t_layers: layers of the transformer in each branch; 0 for no transformer.
        t_emb: positions of the time branch: "sin", "scaled" (learnt) or "cape".
        t_hidden_scale: the transformer's linear maps are this many times as wide as itself.
        t_heads: heads of each attention.
        t_dropout: share of activations dropped in training.
        t_max_positions: with "scaled", the largest number of steps.
        t_norm_in: normalise each position of the transformer's input.
        t_norm_in_group: without `t_norm_in`, normalise over all positions.
        t_group_norm: norms inside the transformer are over all positions.
        t_norm_first: norms in front of attention and linear maps, otherwise behind.
        t_norm_out: with `t_norm_first`, a norm over all positions behind each layer.
        t_max_period: of the sinusoids, over 2 pi.
        t_weight_decay, t_lr: for the reference's optimizer; kept.
        t_layer_scale: learnt factors of the transformer's residual branches.
        t_gelu: GELU in the transformer, otherwise ReLU.
        t_weight_pos_embed: factor of the embedding of positions.
        t_sin_random_shift: with "sin", shift positions by a random 0 to this many steps.
        t_cape_mean_normalize: with "cape", put position 0 in the middle.
        t_cape_augment, t_cape_glob_loc_scale: for training with "cape"; kept.
        t_sparse_self_attn, t_sparse_cross_attn: have to be False, see Raises.
        t_mask_type, t_mask_random_seed, t_sparse_attn_window, t_global_window, t_sparsity,
            t_auto_sparsity: belong to sparse attention; kept.
        t_cross_first: start the transformer with cross-attention.
        rescale: bring the initial weights' deviation closer to this; 0 or None: leave them.
        samplerate: of the audio, in Hz.
        segment: length of the audio that the model was trained on, in seconds.
        use_train_segment: work on exactly that length: shorter input is padded with zeros, longer
            input is refused.
        stft: "fft", or "dft" for a Fourier transform without complex numbers.
        dtype: "float32", or "float64" for the strict mode.

    Shape: (B, A, T) -> (B, S, A, T), channels first as in the reference, T from 1 to
    segment * samplerate; any T >= 1 without `use_train_segment`.

    Raises:
        ValueError: an impossible combination of arguments, sparse attention (it needs xformers in
            the reference, and no published model has it), or input of the wrong shape or type.

    Reference: demucs/htdemucs.py::HTDemucs
    """

    def __init__(
        self,
        sources: list[str],
        # Channels
        audio_channels: int = 2,
        channels: int = 48,
        channels_time: int | None = None,
        growth: float = 2,
        # STFT
        nfft: int = 4096,
        wiener_iters: int = 0,
        end_iters: int = 0,
        wiener_residual: bool = False,
        cac: bool = True,
        # Main structure
        depth: int = 4,
        rewrite: bool = True,
        # Frequency branch
        multi_freqs: Sequence[float] | None = None,
        multi_freqs_depth: int = 3,
        freq_emb: float = 0.2,
        emb_scale: float = 10,
        emb_smooth: bool = True,
        # Convolutions
        kernel_size: int = 8,
        time_stride: int = 2,
        stride: int = 4,
        context: int = 1,
        context_enc: int = 0,
        # Normalization
        norm_starts: int = 4,
        norm_groups: int = 4,
        # DConv residual branch
        dconv_mode: int = 1,
        dconv_depth: int = 2,
        dconv_comp: float = 8,
        dconv_init: float = 1e-3,
        # Before the Transformer
        bottom_channels: int = 0,
        # Transformer
        t_layers: int = 5,
        t_emb: str = "sin",
        t_hidden_scale: float = 4.0,
        t_heads: int = 8,
        t_dropout: float = 0.0,
        t_max_positions: int = 10000,
        t_norm_in: bool = True,
        t_norm_in_group: bool = False,
        t_group_norm: bool = False,
        t_norm_first: bool = True,
        t_norm_out: bool = True,
        t_max_period: float = 10000.0,
        t_weight_decay: float = 0.0,
        t_lr: float | None = None,
        t_layer_scale: bool = True,
        t_gelu: bool = True,
        t_weight_pos_embed: float = 1.0,
        t_sin_random_shift: int = 0,
        t_cape_mean_normalize: bool = True,
        t_cape_augment: bool = True,
        t_cape_glob_loc_scale: Sequence[float] = (5000.0, 1.0, 1.4),
        t_sparse_self_attn: bool = False,
        t_sparse_cross_attn: bool = False,
        t_mask_type: str = "diag",
        t_mask_random_seed: int = 42,
        t_sparse_attn_window: int = 500,
        t_global_window: int = 100,
        t_sparsity: float = 0.95,
        t_auto_sparsity: bool = False,
        t_cross_first: bool = False,
        # Weight init
        rescale: float | None = 0.1,
        # Metadata
        samplerate: int = 44100,
        segment: float | Fraction = 10,
        use_train_segment: bool = True,
        *,
        stft: Transform = "fft",
        dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        arguments = locals()
        _check_transformer(arguments)
        super().__init__(arguments)
        self.use_train_segment = use_train_segment
        self.bottom_channels = bottom_channels
        width = int(channels * growth ** (depth - 1))
        if bottom_channels:
            self.channel_upsampler = Conv1d(width, bottom_channels, 1, dtype=dtype)
            self.channel_downsampler = Conv1d(bottom_channels, width, 1, dtype=dtype)
            self.channel_upsampler_t = Conv1d(width, bottom_channels, 1, dtype=dtype)
            self.channel_downsampler_t = Conv1d(bottom_channels, width, 1, dtype=dtype)
        self.crosstransformer = None
        if t_layers > 0:
            self.crosstransformer = CrossTransformerEncoder(
                dim=bottom_channels or width,
                emb=t_emb,
                hidden_scale=t_hidden_scale,
                num_heads=t_heads,
                num_layers=t_layers,
                cross_first=t_cross_first,
                dropout=t_dropout,
                max_positions=t_max_positions,
                norm_in=t_norm_in,
                norm_in_group=t_norm_in_group,
                group_norm=t_group_norm,
                norm_first=t_norm_first,
                norm_out=t_norm_out,
                max_period=t_max_period,
                layer_scale=t_layer_scale,
                gelu=t_gelu,
                sin_random_shift=t_sin_random_shift,
                weight_pos_embed=t_weight_pos_embed,
                cape_mean_normalize=t_cape_mean_normalize,
                dtype=dtype,
            )
        self.built = True

    @property
    def training_length(self) -> int:
        """Samples that the model was trained on."""
        return int(self.segment * self.samplerate)

    def valid_length(self, length: Any) -> Any:
        """The length that input has to be padded to: the training length, or `length` itself.

        Raises:
            ValueError: `length` is longer than the training length.

        Reference: demucs/htdemucs.py::HTDemucs.valid_length
        """
        if not self.use_train_segment:
            return length
        if isinstance(length, int) and length > self.training_length:
            raise ValueError(
                f"Given length {length} is longer than training length {self.training_length}: "
                "use apply_model, which cuts it into segments."
            )
        return self.training_length

    def draw_shift(self, generator: Any = random) -> int:
        """Draw a shift of the positions, from Python's `random` or a `random.Random`.

        The reference draws one for every pass, and so moves the generator on.
        """
        return 0 if self.crosstransformer is None else self.crosstransformer.draw_shift(generator)

    def call(self, mix: Any, shift: Any = None) -> Any:
        """(B, A, T) -> (B, S, A, T).

        `shift` is what `draw_shift` gave, an int or an integer tensor (B). None: draw one, inside
        a graph once and for all passes.
        """
        self.check(mix)
        mix = tf.ensure_shape(mix, [None, self.audio_channels, None])
        if not self.use_train_segment:
            return self._separate(mix, shift=shift)
        length = size(mix, -1)
        missing = self.valid_length(length) - length
        if not isinstance(missing, int) or missing:
            mix = self.step("pad", lambda x: pad_axis(x, 0, missing, axis=-1), mix)
        # Where the length is unknown, a longer mixture is refused here.
        mix = tf.ensure_shape(mix, [None, self.audio_channels, self.training_length])
        x = self._separate(mix, shift=shift)
        if not isinstance(missing, int) or missing:
            x = self.step("trim", lambda x: x[..., :length], x)
        return x

    def _bottleneck(self, x: Any, xt: Any, shift: Any = None, **_: Any) -> tuple[Any, Any]:
        if self.crosstransformer is None:
            return x, xt
        if self.bottom_channels:
            x = self._by_position(self.channel_upsampler, x)
            xt = self.channel_upsampler_t(xt)
        x, xt = self.crosstransformer(x, xt, shift=shift)
        if self.bottom_channels:
            x = self._by_position(self.channel_downsampler, x)
            xt = self.channel_downsampler_t(xt)
        return x, xt

    def _by_position(self, layer: Any, x: Any) -> Any:
        """A 1x1 convolution over frequency and time: (B, F, T, C) -> (B, F, T, C')."""
        batch, freqs, frames = size(x, 0), x.shape[1], size(x, 2)
        x = self.step("flatten", lambda x: tf.reshape(x, [batch, -1, x.shape[3]]), x)
        x = layer(x)
        return self.step(
            "unflatten", lambda x: tf.reshape(x, [batch, freqs, frames, x.shape[2]]), x
        )


def _check_transformer(arguments: dict[str, Any]) -> None:
    for name in ("t_sparse_self_attn", "t_sparse_cross_attn"):
        if arguments[name]:
            raise ValueError(
                f"{name}=True asks for sparse attention, which is not supported: the reference "
                "needs xformers for it, and no published model has it."
            )
    if arguments["t_emb"] not in ("sin", "scaled", "cape"):
        raise ValueError(f't_emb must be "sin", "scaled" or "cape", got {arguments["t_emb"]!r}.')
