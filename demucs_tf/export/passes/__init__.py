"""What is done to a graph behind a converter: names, fusions, narrower weights."""
