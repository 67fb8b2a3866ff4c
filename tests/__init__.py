"""Everything that is not a numerical comparison with the reference."""
