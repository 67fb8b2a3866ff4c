"""Results for people: text and one HTML page."""
