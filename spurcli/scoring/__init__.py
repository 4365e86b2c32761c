"""Difficulty scores: the formulas (`formulas`) and the forward passes that feed them (`forward`)."""
