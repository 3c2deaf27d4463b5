"""A baked model run operation by operation, so that every value can be seen or changed."""
