"""Groups without labels: what a model tells about the training samples, one way a file."""
