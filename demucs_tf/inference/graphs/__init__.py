"""Graphs of models: what they depend on, how they are traced, run, and kept on disk."""
