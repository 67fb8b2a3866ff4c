"""Tests of `demucs_tf.models`."""
