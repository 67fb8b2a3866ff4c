"""Checkpoints that want something else than to be loaded: refused, nothing run, memory bounded.

More pickles and archives are in `tests/checkpoints/formats/`.
"""
