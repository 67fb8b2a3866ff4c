"""What a difference costs in the units of music: seeded scenes whose stems are known."""
