"""Loggers that pass the numbers of each epoch to other programs: one module per program; all are optional."""
