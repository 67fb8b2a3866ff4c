"""From a seed to the notes of a piece; nothing here knows how they sound."""
