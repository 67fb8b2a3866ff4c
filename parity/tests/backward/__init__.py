"""Tests of gradients and of training steps."""
