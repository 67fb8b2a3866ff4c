"""Tests of `demucs_tf.inference`."""
