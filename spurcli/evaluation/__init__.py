"""Evaluation: metrics with intervals, from logits alone (`metrics`), and the stage that writes them (`stage`)."""
