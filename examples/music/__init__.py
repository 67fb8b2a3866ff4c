"""Pieces composed by a seed and rendered to true stems, in MUSDB's folder layout."""
