"""The models, under the reference's names with `TF` appended."""
