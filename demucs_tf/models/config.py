"""What a model is made of: the reference's arguments, their defaults and their ranges.

Nothing heavy is imported here, so that a checkpoint can be described and checked without
TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, dataclass, field, fields
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeVar

from demucs_tf.models.ranges import (
    check_hybrid,
    check_segment,
    check_sources,
    check_step,
    checked,
)

Self = TypeVar("Self", bound="Config")


class Config:
    """What the configurations have in common: their checks, and the way to plain data and back.

    Arguments are the reference's, by its names, in its order and with its defaults, so that what a
    checkpoint says can be passed on as it is. Those that are only the port's are keyword-only.

    Raises:
        ValueError: an argument out of its range, or several that do not belong together.
    """

    reference: ClassVar[str]
    port: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    sources: Sequence[str]
    audio_channels: int
    samplerate: int
    segment: float | Fraction

    def __post_init__(self) -> None:
        for each in fields(self):
            value = checked(each.name, str(each.type), getattr(self, each.name))
            object.__setattr__(self, each.name, value)
        check_sources(self.sources)
        check_segment(self.segment, self.samplerate)
        self._check()

    def _check(self) -> None:
        """Refuse arguments that do not belong together."""

    @classmethod
    def names(cls, ours: bool = False) -> list[str]:
        """The names of the reference's arguments, in its order; behind them `ours`, if wanted."""
        return [each.name for each in fields(cls) if ours or not each.kw_only]

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What the arguments are that may be left out."""
        return {each.name: each.default for each in fields(cls) if each.name != "sources"}

    @classmethod
    def by_name(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Name all arguments of a call of the reference's constructor.

        Raises:
            TypeError: there are more than it has, one is there twice, or `sources` is missing.
        """
        if len(args) > len(cls.names()):
            raise TypeError("too many positional arguments")
        named = dict(zip(cls.names(), args, strict=False))
        for name in named.keys() & kwargs.keys():
            raise TypeError(f"multiple values for argument {name!r}")
        named.update(kwargs)
        if "sources" not in named:
            raise TypeError("missing a required argument: 'sources'")
        return named

    def valid_length(self, length: int) -> int:
        """The length in samples that input of `length` has to be padded to.

        Raises:
            ValueError: the model takes no input of that length.
        """
        return length

    def arguments(self) -> dict[str, Any]:
        """All arguments by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """All arguments as JSON has them: lists, and fractions as text, "39/5"."""
        return {name: _as_json(value) for name, value in self.arguments().items()}

    @classmethod
    def from_dict(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        segment = values.get("segment")
        if isinstance(segment, str):
            with suppress(ValueError, ZeroDivisionError):  # the check says so
                segment = Fraction(segment)
            values = {**values, "segment": segment}
        return cls(**values)


def _ceil_div(a: Any, b: int) -> Any:
    """Divide and round up; see `demucs_tf.layers.shape.ceil_div`, which needs TensorFlow."""
    return (a + b - 1) // b


def _as_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class DemucsConfig(Config):
    """The arguments of `DemucsTF`, which explains them.

    Reference: demucs/demucs.py::Demucs
    """

    reference = "demucs.demucs.Demucs"
    port = "DemucsTF"

    sources: Sequence[str]
    # Channels
    audio_channels: int = 2
    channels: int = 64
    growth: float = 2.0
    # Main structure
    depth: int = 6
    rewrite: bool = True
    lstm_layers: int = 0
    # Convolutions
    kernel_size: int = 8
    stride: int = 4
    context: int = 1
    # Activations
    gelu: bool = True
    glu: bool = True
    # Normalization
    norm_starts: int = 4
    norm_groups: int = 4
    # DConv residual branch
    dconv_mode: int = 1
    dconv_depth: int = 2
    dconv_comp: float = 4
    dconv_attn: int = 4
    dconv_lstm: int = 4
    dconv_init: float = 1e-4
    # Pre/post processing
    normalize: bool = True
    resample: bool = True
    # Weight init
    rescale: float | None = 0.1
    # Metadata
    samplerate: int = 44100
    segment: float | Fraction = 4 * 10

    def _check(self) -> None:
        step = 1
        for _ in range(self.depth):
            step = (step - 1) * self.stride + self.kernel_size
        check_step(step)

    def valid_length(self, length: Any, larger: Callable[[Any, Any], Any] = max) -> Any:
        """The shortest length >= `length` that leaves no step over in any convolution.

        Args:
            length: samples, an int or, inside a graph, an integer tensor.
            larger: the larger one of two of its kind.

        Reference: demucs/demucs.py::Demucs.valid_length
        """
        if self.resample:
            length = length * 2
        for _ in range(self.depth):
            length = larger(1, _ceil_div(length - self.kernel_size, self.stride) + 1)
        for _ in range(self.depth):
            length = (length - 1) * self.stride + self.kernel_size
        if self.resample:
            length = _ceil_div(length, 2)
        return length


@dataclass(frozen=True)
class HDemucsConfig(Config):
    """The arguments of `HDemucsTF`, which explains them.

    Reference: demucs/hdemucs.py::HDemucs
    """

    reference = "demucs.hdemucs.HDemucs"
    port = "HDemucsTF"

    sources: Sequence[str]
    # Channels
    audio_channels: int = 2
    channels: int = 48
    channels_time: int | None = None
    growth: float = 2
    # STFT
    nfft: int = 4096
    wiener_iters: int = 0
    end_iters: int = 0
    wiener_residual: bool = False
    cac: bool = True
    # Main structure
    depth: int = 6
    rewrite: bool = True
    hybrid: bool = True
    hybrid_old: bool = False
    # Frequency branch
    multi_freqs: Sequence[float] | None = None
    multi_freqs_depth: int = 2
    freq_emb: float | None = 0.2
    emb_scale: float = 10
    emb_smooth: bool = True
    # Convolutions
    kernel_size: int = 8
    time_stride: int = 2
    stride: int = 4
    context: int = 1
    context_enc: int = 0
    # Normalization
    norm_starts: int = 4
    norm_groups: int = 4
    # DConv residual branch
    dconv_mode: int = 1
    dconv_depth: int = 2
    dconv_comp: float = 4
    dconv_attn: int = 4
    dconv_lstm: int = 4
    dconv_init: float = 1e-4
    # Weight init
    rescale: float | None = 0.1
    # Metadata
    samplerate: int = 44100
    segment: float | Fraction = 4 * 10
    # Ours
    stft: Literal["fft", "dft"] = field(default="fft", kw_only=True)

    def _check(self) -> None:
        check_hybrid(self)


@dataclass(frozen=True)
class HTDemucsConfig(Config):
    """The arguments of `HTDemucsTF`, which explains them.

    Reference: demucs/htdemucs.py::HTDemucs
    """

    reference = "demucs.htdemucs.HTDemucs"
    port = "HTDemucsTF"
    # What HDemucs can have besides.
    hybrid: ClassVar[bool] = True
    hybrid_old: ClassVar[bool] = False
    dconv_attn: ClassVar[int] = 10**6
    dconv_lstm: ClassVar[int] = 10**6

    sources: Sequence[str]
    # Channels
    audio_channels: int = 2
    channels: int = 48
    channels_time: int | None = None
    growth: float = 2
    # STFT
    nfft: int = 4096
    wiener_iters: int = 0
    end_iters: int = 0
    wiener_residual: bool = False
    cac: bool = True
    # Main structure
    depth: int = 4
    rewrite: bool = True
    # Frequency branch
    multi_freqs: Sequence[float] | None = None
    multi_freqs_depth: int = 3
    freq_emb: float | None = 0.2
    emb_scale: float = 10
    emb_smooth: bool = True
    # Convolutions
    kernel_size: int = 8
    time_stride: int = 2
    stride: int = 4
    context: int = 1
    context_enc: int = 0
    # Normalization
    norm_starts: int = 4
    norm_groups: int = 4
    # DConv residual branch
    dconv_mode: int = 1
    dconv_depth: int = 2
    dconv_comp: float = 8
    dconv_init: float = 1e-3
    # Before the Transformer
    bottom_channels: int = 0
    # Transformer
    t_layers: int = 5
    t_emb: str = "sin"
    t_hidden_scale: float = 4.0
    t_heads: int = 8
    t_dropout: float = 0.0
    t_max_positions: int = 10000
    t_norm_in: bool = True
    t_norm_in_group: bool | int = False
    t_group_norm: bool | int = False
    t_norm_first: bool = True
    t_norm_out: bool | int = True
    t_max_period: float = 10000.0
    t_weight_decay: float = 0.0
    t_lr: float | None = None
    t_layer_scale: bool = True
    t_gelu: bool = True
    t_weight_pos_embed: float = 1.0
    t_sin_random_shift: int = 0
    t_cape_mean_normalize: bool = True
    t_cape_augment: bool = True
    t_cape_glob_loc_scale: Sequence[float] = (5000.0, 1.0, 1.4)
    t_sparse_self_attn: bool = False
    t_sparse_cross_attn: bool = False
    t_mask_type: str = "diag"
    t_mask_random_seed: int = 42
    t_sparse_attn_window: int = 500
    t_global_window: int = 100
    t_sparsity: float = 0.95
    t_auto_sparsity: bool = False
    t_cross_first: bool = False
    # Weight init
    rescale: float | None = 0.1
    # Metadata
    samplerate: int = 44100
    segment: float | Fraction = 10
    use_train_segment: bool = True
    # Ours
    stft: Literal["fft", "dft"] = field(default="fft", kw_only=True)

    def _check(self) -> None:
        for name in ("t_sparse_self_attn", "t_sparse_cross_attn"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}=True asks for sparse attention, which is not supported: the reference "
                    "needs xformers for it, and no published model has it."
                )
        check_hybrid(self)

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

    def draw_shift(self, generator: Any) -> int:
        """Draw a shift of the positions from Python's `random` or a `random.Random`.

        The reference draws one for every pass, also where 0 is the only choice, and so moves the
        generator on.
        """
        # As `CrossTransformerEncoder.draw_shift` does for a model that has its layers.
        drawn = self.t_layers > 0 and self.t_emb == "sin"
        return int(generator.randrange(self.t_sin_random_shift + 1)) if drawn else 0


HybridConfig = HDemucsConfig | HTDemucsConfig

# By the names that a checkpoint may have; the last is the old one of HDemucs.
CONFIGS: dict[str, type[Config]] = {
    **{each.reference: each for each in (DemucsConfig, HDemucsConfig, HTDemucsConfig)},
    "demucs.wdemucs.WDemucs": HDemucsConfig,
}
