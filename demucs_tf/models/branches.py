"""The layers of a hybrid model: as rows of data, and what is made of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demucs_tf.models.config import HybridConfig
from demucs_tf.models.ranges import check_step

if TYPE_CHECKING:  # rows are data, and known without TensorFlow
    from demucs_tf.blocks.decoder import HDecLayer
    from demucs_tf.blocks.embedding import ScaledEmbedding
    from demucs_tf.blocks.encoder import HEncLayer
    from demucs_tf.blocks.multiwrap import MultiWrap


@dataclass(frozen=True)
class Row:
    """One layer of each encoder and decoder, by the names of the reference's loop.

    Attributes:
        index: 0 is the outermost.
        freqs: how many frequencies the encoder's layer takes; 1 behind the merge.
        chin_z, chout_z: channels that the encoder's layer on the spectrogram takes and gives.
        chin, chout: the same on the waveform.
        last_freq: the last along frequency, where one is left and the branches merge.
        multi: with weights of their own for bands of frequencies.
    """

    index: int
    freqs: int
    chin_z: int
    chout_z: int
    chin: int
    chout: int
    last_freq: bool
    multi: bool

    @property
    def freq(self) -> bool:
        """Whether it works along frequency, otherwise along time."""
        return self.freqs > 1


def rows(config: HybridConfig) -> list[Row]:
    """What the encoders and decoders consist of, outermost first.

    Raises:
        ValueError: the branches do not merge where they have to, frequencies are split where they
            can't be, or the innermost layer takes too many samples at once.
    """
    found = list(_rows(config))
    for row in found:
        if not row.freqs:
            raise ValueError(f"stride {config.stride} leaves no frequency for layer {row.index}.")
        if row.last_freq and config.hybrid:
            _check_merge(config, row.index + 1)
        if row.multi and (row.index >= config.norm_starts or not row.freq or row.last_freq):
            raise ValueError(
                "multi_freqs needs layers along frequency without norms: make "
                f"multi_freqs_depth smaller or norm_starts larger (layer {row.index})."
            )
    check_step(config.nfft // 4 * config.time_stride ** sum(not row.freq for row in found))
    return found


def _rows(config: HybridConfig) -> Iterator[Row]:
    chin = chin_z = config.audio_channels
    if config.cac:
        chin_z *= 2
    chout, chout_z = config.channels_time or config.channels, config.channels
    freqs = config.nfft // 2
    for index in range(config.depth):
        last_freq = 1 < freqs <= config.kernel_size
        if last_freq:
            chout = chout_z = max(chout, chout_z)
        multi = bool(config.multi_freqs) and index < config.multi_freqs_depth
        yield Row(index, freqs, chin_z, chout_z, chin, chout, last_freq, multi)
        chin, chin_z = chout, chout_z
        chout, chout_z = int(config.growth * chout), int(config.growth * chout_z)
        if freqs > 1:
            freqs = 1 if last_freq else freqs // config.stride


def _check_merge(config: HybridConfig, layers: int) -> None:
    steps = config.stride**layers
    if 4 * steps != config.nfft:
        raise ValueError(
            "Both branches merge where one frequency is left, and need the same number of steps "
            f"there: nfft must be {4 * steps} for {layers} layers along frequency of stride "
            f"{config.stride}, got {config.nfft}."
        )


@dataclass(frozen=True)
class Layers:
    """Makes the layers of a row."""

    config: HybridConfig
    dtype: str

    def encoder(self, row: Row) -> HEncLayer | MultiWrap:
        """The encoder's layer on the spectrogram."""
        from demucs_tf.blocks.encoder import HEncLayer

        options = {**self._encoder(row), **self._on_spectrogram(row)}
        return self._in_bands(row, False, lambda: HEncLayer(row.chin_z, row.chout_z, **options))

    def decoder(self, row: Row) -> HDecLayer | MultiWrap:
        """The decoder's layer on the spectrogram."""
        from demucs_tf.blocks.decoder import HDecLayer

        options = {**self._decoder(row), **self._on_spectrogram(row)}
        if row.multi:
            options |= {"last": True, "context_freq": False}  # GELU comes behind all bands
        chout = row.chin_z if row.index else self._stems * (2 if self.config.cac else 1)
        last = row.index == 0
        return self._in_bands(row, last, lambda: HDecLayer(row.chout_z, chout, **options))

    def tencoder(self, row: Row) -> HEncLayer:
        """The encoder's layer on the waveform."""
        from demucs_tf.blocks.encoder import HEncLayer

        options = {**self._encoder(row), **self._on_waveform(row)}
        return HEncLayer(row.chin, row.chout, **options)

    def tdecoder(self, row: Row) -> HDecLayer:
        """The decoder's layer on the waveform."""
        from demucs_tf.blocks.decoder import HDecLayer

        options = {**self._decoder(row), **self._on_waveform(row)}
        return HDecLayer(row.chout, row.chin if row.index else self._stems, **options)

    def freq_emb(self, outermost: Row) -> ScaledEmbedding:
        """The embedding of the frequencies that the outermost layer gives."""
        from demucs_tf.blocks.embedding import ScaledEmbedding

        config = self.config
        freqs = 1 if outermost.last_freq else outermost.freqs // config.stride
        return ScaledEmbedding(
            freqs,
            outermost.chout_z,
            factor=config.emb_scale,
            smooth=config.emb_smooth,
            dtype=self.dtype,
        )

    @property
    def _stems(self) -> int:
        return self.config.audio_channels * len(self.config.sources)

    def _in_bands(self, row: Row, last: bool, make: Callable[[], Any]) -> Any:
        if not row.multi:
            return make()
        from demucs_tf.blocks.multiwrap import MultiWrap

        return MultiWrap(make, self.config.multi_freqs or (), last, dtype=self.dtype)

    def _encoder(self, row: Row) -> dict[str, Any]:
        own = {"dconv": self.config.dconv_mode & 1, "context": self.config.context_enc}
        return {**self._common(row), **own}

    def _decoder(self, row: Row) -> dict[str, Any]:
        own = {"dconv": self.config.dconv_mode & 2, "context": self.config.context}
        return {**self._common(row), **own, "last": row.index == 0, "context_freq": True}

    def _common(self, row: Row) -> dict[str, Any]:
        config = self.config
        return {
            "norm": row.index >= config.norm_starts,
            "rewrite": config.rewrite,
            "norm_groups": config.norm_groups,
            "dtype": self.dtype,
            "dconv_kw": {
                "lstm": row.index >= config.dconv_lstm,
                "attn": row.index >= config.dconv_attn,
                "depth": config.dconv_depth,
                "compress": config.dconv_comp,
                "init": config.dconv_init,
                "gelu": True,
            },
        }

    def _on_spectrogram(self, row: Row) -> dict[str, Any]:
        kernel_size = row.freqs if row.last_freq else self.config.kernel_size
        stride = self.config.stride
        if not row.freq:
            kernel_size, stride = 2 * self.config.time_stride, self.config.time_stride
        return {
            "freq": row.freq,
            "empty": False,
            "kernel_size": kernel_size,
            "stride": stride,
            "pad": not (row.last_freq or row.multi),
        }

    def _on_waveform(self, row: Row) -> dict[str, Any]:
        return {
            "freq": False,
            "empty": row.last_freq,
            "kernel_size": self.config.kernel_size,
            "stride": self.config.stride,
            "pad": True,
        }
