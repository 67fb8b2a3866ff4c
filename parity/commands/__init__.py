"""The commands of `python -m parity`, one file each: `add` their options, `run` them."""
