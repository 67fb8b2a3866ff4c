"""Tests of `demucs_tf.checkpoints.sources`."""
