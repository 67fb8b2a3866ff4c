"""Tests of the command `demucs-tf`."""
