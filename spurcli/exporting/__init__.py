"""Samples for other programs: what an artefact says of each sample, with ids, as tables, lists, folders and data sets."""
