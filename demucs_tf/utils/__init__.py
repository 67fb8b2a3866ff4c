"""Helpers without a subject."""
