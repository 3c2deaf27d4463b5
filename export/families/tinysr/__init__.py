"""TinySR's baking: its conditions become constants, which are folded into the weights."""
