"""Finders of features that a model may lean on, one in each file: `find(evidence, **options) -> list[Finding]`."""
