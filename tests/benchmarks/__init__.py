"""The benchmark suite itself, with fake timings and tiny models."""
