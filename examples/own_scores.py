"""Another program writes scores.h5 with only h5py (docs/formats.md specifies the file).

Here the "difficulty" of a sample is how far its picture is from the mean picture of its class.
"""

from __future__ import annotations

import h5py
import numpy as np
from sklearn.datasets import load_digits

pixels, label = load_digits(return_X_y=True)
means = np.stack([pixels[label == digit].mean(axis=0) for digit in range(10)])
distance = np.linalg.norm(pixels - means[label], axis=1)

with h5py.File("own.h5", "w") as file:
    file.attrs["format"] = "spurcli.scores"
    file.attrs["version"] = 1
    file["label"] = label.astype("<i8")
    score = file.create_group("scores/distance_to_mean")
    score.attrs["higher_is"] = "harder"
    score["values"] = distance[None, :].astype("<f4")  # [runs, samples]
