"""A fuzzer for the readers of checkpoints: `python -m tests.fuzz --minutes 10 --seed 0`."""
