"""Pruning: exact selection from scores (`select`), the paper's rules (`rules`), the stage (`stage`). No torch."""
