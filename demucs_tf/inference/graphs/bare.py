"""Models without layers: where a graph is kept, its weights and its configuration are enough.

To make some hundred Keras layers takes as long as to import TensorFlow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

from demucs_tf.checkpoints.assemble import constructor_arguments, port_of, within
from demucs_tf.checkpoints.formats.diffq_state import Quantized
from demucs_tf.checkpoints.formats.torch_package import Package
from demucs_tf.checkpoints.formats.untrusted import check_segment
from demucs_tf.checkpoints.weights import arranged, laid_out, places_of
from demucs_tf.errors import CheckpointError
from demucs_tf.inference.graphs.kept import Kept
from demucs_tf.models.config import CONFIGS, Config, HTDemucsConfig
from demucs_tf.utils.memory import without_collector
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.runtime import import_runtime


class BareModel:
    """What applying needs to know of a model, see `demucs_tf.inference.single.Model`.

    Args:
        config: all arguments of the reference.
        dtype: "float32" or "float64".
        weights: gives arrays in the order of the model's variables; see `laid_out`.
        outline: see `outlined`; None: it is made when it is needed.

    Shape: (B, A, T) -> (B, S, A, T), as the model itself, whose layers a call makes.
    """

    def __init__(
        self, config: Config, dtype: str, weights: Callable[[], list[Any]], outline: Any = None
    ) -> None:
        self.config = config
        self.port = config.port
        self.weights = weights
        self.sources = list(config.sources)
        self.audio_channels = config.audio_channels
        self.samplerate = config.samplerate
        self.compute_dtype = dtype
        self._outline = outline
        self._model: Any = None
        self._lock = Lock()

    @property
    def segment(self) -> float | Fraction:
        """Seconds: as long a piece as `apply_model` cuts; a bag may set it."""
        return self.config.segment

    @segment.setter
    def segment(self, seconds: float | Fraction) -> None:
        self.config = replace(self.config, segment=seconds)

    def valid_length(self, length: int) -> int:
        """The length that input has to be padded to; see the configuration's."""
        return self.config.valid_length(length)

    def __call__(self, *inputs: Any) -> Any:
        """Separate a mixture."""
        return self.built()(*inputs)

    def built(self) -> Any:
        """The Keras model, which is made when it is first asked for."""
        import_tensorflow()
        from demucs_tf.layers.base import blank_weights

        with self._lock:
            if self._model is None:
                with blank_weights():
                    model = _made(self.config, self.compute_dtype)
                for variable, weight in zip(model.variables, self.weights(), strict=True):
                    variable.assign(weight)
                self._model = model
            self._model.segment = self.segment
            return self._model

    def outline(self) -> Any:
        """The Keras model to trace; see `outlined`."""
        with self._lock:
            if self._outline is None:
                self._outline = outlined(self.config, self.compute_dtype)
            self._outline.segment = self.segment
            return self._outline


class BareTransformer(BareModel):
    """The same of an HTDemucsTF."""

    config: HTDemucsConfig

    @property
    def training_length(self) -> int:
        """Samples that the model was trained on."""
        return self.config.training_length

    def draw_shift(self, generator: Any = random) -> int:
        """Draw a shift of the positions; see the configuration's."""
        return self.config.draw_shift(generator)


def outlined(config: Config, dtype: str) -> Any:
    """A Keras model whose variables have shapes and no values: a third of the time that one takes.

    It is for `demucs_tf.inference.graphs.trace.graph_of`, which gives it the weights of a graph.
    """
    import_tensorflow()
    import keras

    from demucs_tf.layers.base import blank_weights

    # Keras would fill the variables at the end; whoever opens a scope later without this argument
    # has it fill them then.
    scope = keras.StatelessScope(initialize_variables=False)
    with without_collector(), blank_weights(), scope:
        return _made(config, dtype)


def _made(config: Config, dtype: str) -> Any:
    from demucs_tf.models.ports import PORTS

    return PORTS[config.reference](**config.arguments(), dtype=dtype)


def model_of(folder: Kept, package: Package, path: Path, dtype: str | None) -> Callable[[], Any]:
    """What makes the model of a package, without layers' values where its graphs are kept.

    What needs no TensorFlow is done before this returns.

    Raises, and what it returns raises:
        CheckpointError: see `port_of`.
    """
    begun = _begun(folder, package, dtype or package.dtype)

    def model() -> Any:
        devices = import_runtime().list_logical_devices
        bare = begun and not devices("GPU") and _bare(folder, package.state, *begun)
        return bare or port_of(package, path, dtype)

    return model


# Either gives None where something is wrong, which `port_of` tells.


def _begun(
    folder: Kept, package: Package, dtype: str
) -> tuple[Config, str, list[Any] | None] | None:
    """The configuration, the type, and the weights if it is known where they go."""
    kind, state = CONFIGS[package.klass], package.state
    if isinstance(state, Quantized) or not package.kwargs.keys() <= set(kind.names()):
        return None
    with suppress(CheckpointError, ValueError, TypeError):
        config = kind(**constructor_arguments(kind, package, kind.port))
        check_segment(config.segment)
        places = folder.find_places(kind.port, config)
        if places is None:
            return config, dtype, None
        return config, dtype, _laid_out(arranged(places, state, dtype, kind.port), dtype)
    return None


def _bare(
    folder: Kept, state: Any, config: Config, dtype: str, weights: list[Any] | None
) -> BareModel | None:
    bare = BareTransformer if isinstance(config, HTDemucsConfig) else BareModel
    if weights is not None:
        return bare(config, dtype, lambda: weights)
    with suppress(CheckpointError, ValueError, TypeError):
        with within(sum(array.size for array in state.values()), len(state)):
            outline = outlined(config, dtype)
        places = places_of(outline)
        folder.put_places(config.port, config, places)
        found = arranged(places, state, dtype, config.port)
        pool = ThreadPoolExecutor(1)
        laid = pool.submit(_laid_out, found, dtype)  # while the model is traced
        pool.shutdown(wait=False)
        return bare(config, dtype, laid.result, outline)
    return None


def _laid_out(arrays: Iterable[Any], dtype: str) -> list[Any]:
    return [laid_out(array, dtype) for array in arrays]
