"""Names with a meaning of their own where a model's id could stand."""

AUTO = "auto"
PRESET = "preset:"
"""What comes before the name of a preset."""
