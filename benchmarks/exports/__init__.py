"""Measures exports of the full-size models for `docs/exporting.md`.

    python -m benchmarks.exports measure [MODEL ...] [--folder DIR] [--steps STEP ...] [--again]
    python -m benchmarks.exports write

Needs the extras `export`, `litert`, `onnx` and `reference`, and real music in the folder that the
environment variable PARITY_AUDIO names. Each step is a process of its own, and is not done again
when `docs/exporting.json` has it. Speed is worth measuring only on a machine that does nothing
else.
"""
