"""TSD-SR's baking: time, pooled text and prompt become constants, which are folded in."""
