"""Embeddings of whole data sets by a model whose weights stay as they are: which layer is read, and the resumable pass."""
