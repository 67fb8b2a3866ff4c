"""What is kept on disk: goldens, and how files are written and read."""
