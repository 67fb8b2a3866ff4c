"""From the notes of a piece to its stems."""
