"""Data sets: the definition (`base`), the benchmarks, and the injected twin of any of them. No torch here."""

from spurcli.datasets.base import Dataset, Split, Twin
from spurcli.datasets.inputs import ArrayImages, FileImages, Images, Inputs, Texts, Vectors
from spurcli.datasets.load import load_dataset

__all__ = [
    "ArrayImages",
    "Dataset",
    "FileImages",
    "Images",
    "Inputs",
    "Split",
    "Texts",
    "Twin",
    "Vectors",
    "load_dataset",
]
