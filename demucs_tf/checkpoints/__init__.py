"""Names, files, formats and weight rules: from a checkpoint to a model."""
