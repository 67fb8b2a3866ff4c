"""Tests of `demucs_tf.layers`."""
