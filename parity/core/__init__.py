"""Compares any PyTorch module with any Keras port of it."""
