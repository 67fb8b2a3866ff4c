"""Exported files against the goldens: whole models in a table, and the first layer that is off."""
