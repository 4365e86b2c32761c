"""Another program makes logits; spurcli scores, prunes and evaluates them. Writes four .npy files into this folder.

The "other program" is scikit-learn's logistic regression on its own digits: no torch, no spurcli.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

pixels, label = load_digits(return_X_y=True)
train, test = slice(0, 1200), slice(1200, None)
model = LogisticRegression(max_iter=200).fit(pixels[train] / 16, label[train])
for name, part in (("train", train), ("test", test)):
    np.save(f"{name}_logits.npy", model.decision_function(pixels[part] / 16))
    np.save(f"{name}_labels.npy", label[part])
