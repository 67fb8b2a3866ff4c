"""Whether both frameworks see a GPU, and that neither rounds to TF32 on it."""

from __future__ import annotations

# Relative L2 error of the reference on a GPU, against itself on a processor: in float32 cuFFT's
# inverse transform hears imaginary parts of the first and last frequency, of which a real signal
# has none.
CUFFT = 1e-2


def missing() -> str | None:
    """Why nothing can be measured on a GPU here; None: it can."""
    import tensorflow as tf
    import torch

    seen = {
        "TensorFlow": len(tf.config.list_physical_devices("GPU")),
        "PyTorch": torch.cuda.device_count() if torch.cuda.is_available() else 0,
    }
    if all(seen.values()):
        return None
    counts = ", ".join(f"{name} sees {count}" for name, count in seen.items())
    return f"expected a GPU that both frameworks see, but {counts}."


def prepare() -> None:
    """Let both share the card, and compute in float32 as it is."""
    import tensorflow as tf
    import torch

    for card in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(card, True)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
