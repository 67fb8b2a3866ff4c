"""Tracks: which files are meant, what their stems are called, and one of them on its way."""
