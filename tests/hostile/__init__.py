"""Checkpoints that want something else than to be loaded: refused, nothing run, memory bounded.

More pickles are in `tests/test_pickle_code.py`, more archives in `tests/test_archive.py`.
"""
