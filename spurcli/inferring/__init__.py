"""Groups without labels, inferred from a model: one module for each way."""
