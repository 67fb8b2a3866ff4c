"""What is kept of a comparison for a report: pictures of numbers, and sound."""
