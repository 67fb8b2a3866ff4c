"""A fuzzer for checkpoints and their arguments: `python -m tests.fuzz --minutes 10 --seed 0`."""
