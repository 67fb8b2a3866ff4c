"""The reference's own parts, one file a family: what Demucs is built of."""
