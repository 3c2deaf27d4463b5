"""The model while it is baked: constants for conditions, types, and integers for weights."""
