"""What the project's files say about each other."""
