"""Files and samples: reading, writing, channels and rates. Arrays are (channels, samples)."""
