"""`demucs-tf export`: a model from wherever it is into a file for another runtime."""

from __future__ import annotations

from pathlib import Path

from demucs_tf.cli.options import ExportOptions
from demucs_tf.cli.terminal import logs_on_stderr, print_paths, say
from demucs_tf.utils.quiet import quiet


def run(options: ExportOptions) -> int:
    """Export.

    Raises:
        DemucsTFError: MODEL can't be loaded, can't be exported so, or PATH can't be written.
    """
    from demucs_tf.export.request import check_request
    from demucs_tf.export.run import export_model

    with quiet(unless=options.debug):  # tf2onnx imports TensorFlow
        check_request(options.target, options.format, options.weights, options.force)
    with logs_on_stderr():
        from demucs_tf.checkpoints.load import load_located
        from demucs_tf.checkpoints.locate import locate

        found = locate(options.source, options.repo, allow_legacy=options.allow_legacy)
        model = load_located(found, "float32")
    say(f"Converting {found.name} takes a minute or two.")
    written = export_model(
        model,
        options.target,
        options.format,
        length=options.length,
        weights=options.weights,
        fuse=options.fuse,
        force=options.force,
        name=Path(found.name).name,
        licence=options.licence,
        any_length=options.any_length,
    )
    print_paths(written)
    return 0
