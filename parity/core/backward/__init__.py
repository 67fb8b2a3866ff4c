"""Compares gradients: of every call by its inputs and weights, and of the whole model."""
