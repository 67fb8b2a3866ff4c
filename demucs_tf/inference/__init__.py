"""Whole tracks through a model: chunks, shifts, overlap-add, and the Separator."""
