"""Evaluation: metrics with intervals, from logits alone (`metrics`), and measures of reliance on a feature (`reliance`)."""
