"""Tests of `demucs_tf.audio`."""
