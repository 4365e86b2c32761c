"""Difficulty scores: pure formulas (`formulas`) and the stage that writes scores.h5 (`stage`)."""
