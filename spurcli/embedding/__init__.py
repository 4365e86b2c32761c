"""Embeddings of whole data sets by a frozen model: which layer is read, and the resumable pass."""
