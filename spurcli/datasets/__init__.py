"""Data sets: what one is (`base`), the benchmarks, and the injected twin of any of them. No torch here."""

from spurcli.datasets.base import ArrayImages, Dataset, FileImages, Inputs, Split, Twin
from spurcli.datasets.load import load_dataset

__all__ = ["ArrayImages", "Dataset", "FileImages", "Inputs", "Split", "Twin", "load_dataset"]
