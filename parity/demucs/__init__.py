"""What the core has to be told of Demucs."""
