"""Tests of `demucs_tf.checkpoints.formats`."""
