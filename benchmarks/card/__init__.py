"""The port's graph on a card that TensorFlow does not see: XLA's module made here, run there."""
