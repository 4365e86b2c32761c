"""Scores, lists and measures of arrays and tensors that are in memory: no file is read or written, no model runs."""
