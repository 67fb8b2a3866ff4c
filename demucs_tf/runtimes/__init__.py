"""Exported files as models, one file a runtime, and the door to all models.

Importing this imports neither TensorFlow nor a runtime.
"""
