"""Hybrid Transformer Demucs."""

from __future__ import annotations

import random
from typing import Any

import keras
import tensorflow as tf

from demucs_tf.blocks.transformer import CrossTransformerEncoder
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.shape import pad_axis, reshape, size
from demucs_tf.models.config import HTDemucsConfig
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
        t_cape_augment: with "cape", move positions at random in training.
        t_cape_glob_loc_scale: by how much: an item, each step (both in steps), and a factor.
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

    config: HTDemucsConfig
    config_class = HTDemucsConfig

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        config, dtype = self.config, self.compute_dtype
        self.use_train_segment = config.use_train_segment
        self.bottom_channels = bottom = config.bottom_channels
        width = int(config.channels * config.growth ** (config.depth - 1))
        if bottom:
            self.channel_upsampler = Conv1d(width, bottom, 1, dtype=dtype)
            self.channel_downsampler = Conv1d(bottom, width, 1, dtype=dtype)
            self.channel_upsampler_t = Conv1d(width, bottom, 1, dtype=dtype)
            self.channel_downsampler_t = Conv1d(bottom, width, 1, dtype=dtype)
        self.crosstransformer = None
        if config.t_layers > 0:
            self.crosstransformer = CrossTransformerEncoder(
                dim=bottom or width,
                emb=config.t_emb,
                hidden_scale=config.t_hidden_scale,
                num_heads=config.t_heads,
                num_layers=config.t_layers,
                cross_first=config.t_cross_first,
                dropout=config.t_dropout,
                max_positions=config.t_max_positions,
                norm_in=config.t_norm_in,
                norm_in_group=config.t_norm_in_group,
                group_norm=config.t_group_norm,
                norm_first=config.t_norm_first,
                norm_out=config.t_norm_out,
                max_period=config.t_max_period,
                layer_scale=config.t_layer_scale,
                gelu=config.t_gelu,
                sin_random_shift=config.t_sin_random_shift,
                weight_pos_embed=config.t_weight_pos_embed,
                cape_mean_normalize=config.t_cape_mean_normalize,
                cape_augment=config.t_cape_augment,
                cape_glob_loc_scale=config.t_cape_glob_loc_scale,
                dtype=dtype,
            )
        self._complete()

    @property
    def training_length(self) -> int:
        """Samples that the model was trained on."""
        return self.config.training_length

    def valid_length(self, length: Any) -> Any:
        """The length that input has to be padded to: the training length, or `length` itself.

        Raises:
            ValueError: `length` is longer than the training length.

        Reference: demucs/htdemucs.py::HTDemucs.valid_length
        """
        return self.config.valid_length(length)

    def draw_shift(self, generator: Any = random) -> int:
        """Draw a shift of the positions, from Python's `random` or a `random.Random`.

        The reference draws one for every pass, and so moves the generator on.
        """
        return 0 if self.crosstransformer is None else self.crosstransformer.draw_shift(generator)

    def call(self, mix: Any, shift: Any = None, training: bool = False) -> Any:
        """(B, A, T) -> (B, S, A, T); in training of any T, on that very length.

        `shift` is what `draw_shift` gave, an int or an integer tensor (B). None: draw one, inside
        a graph once and for all passes, but for each step in training.
        """
        mix = self.check(mix)
        mix = tf.ensure_shape(mix, [None, self.audio_channels, None])
        # QUIRK demucs/htdemucs.py:532: training takes the length that it is given. There that is
        # the segment from then on; here `segment` stays.
        if training or not self.use_train_segment:
            return self._separate(mix, training, shift=shift)
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
        x = self.step("flatten", lambda x: reshape(x, [batch, -1, x.shape[3]]), x)
        x = layer(x)
        return self.step("unflatten", lambda x: reshape(x, [batch, freqs, frames, x.shape[2]]), x)
