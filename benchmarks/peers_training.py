"""Time and memory of other tools for training and refitting on the same images: python benchmarks/peers_training.py [--data-root PATH] [--tiny]

Each tool is a separate process, from start to end: CPU seconds including its worker processes, peak memory of the largest
process, worst-group accuracy on the same test images, lines that a user writes. All train the same network on the same pixels, with the
same optimizer. A peer that is not installed is skipped with the line that installs it. Without `--data-root` the images are made
up; with it they are Waterbirds at 112 pixels. `--tiny` only checks that the script works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import peer_data  # the modules beside this one
from large import measured

EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 3, 64, 0.01, 0.9, 1e-3
RECIPE = f"""
[dataset]
name = "data.py:load"
[model]
name = "small_cnn"
[preprocessing]
mean = [{peer_data.MEAN}]
std = [{peer_data.STD}]
[training]
epochs = {EPOCHS}
batch_size = {BATCH}
learning_rate = {RATE}
momentum = {MOMENTUM}
weight_decay = {DECAY}
channels_last = true
"""
_TRAIN = "train --dataset data.py:load --recipe recipe.toml --keep all --workers 0 -o NAME.safetensors"
_EVALUATE = "evaluate NAME.safetensors --dataset data.py:load -o NAME.json"
_SPUCO = f"""
import torch
from torch.utils.data import TensorDataset
from spuco.datasets import GroupLabeledDatasetWrapper
from spuco.robust_train import ERM, GroupDRO
from data import network, tensors, write_predictions
pixels, label, group = tensors("train")
trainset, model = TensorDataset(pixels, label), network()
optimizer = torch.optim.SGD(model.parameters(), lr={RATE}, momentum={MOMENTUM}, weight_decay={DECAY})
"""
_WRITE = 'write_predictions(model(tensors("test")[0]).argmax(1))\n'

ERM, DRO, DFR = "ERM", "group DRO", "DFR, last layer only"
# task → name of the tool, what it must import, what a user writes: lines of our command line, or Python.
TASKS: dict[str, dict[str, tuple[str, str]]] = {
    ERM: {
        "spurcli": ("", f"{_TRAIN}\n\n{_EVALUATE}".replace("NAME", "erm")),
        "SpuCo": (
            "spuco",
            f"""{_SPUCO}ERM(model, trainset, {BATCH}, optimizer, {EPOCHS}).train()
model.eval()
{_WRITE}""",
        ),
    },
    DRO: {
        "spurcli": ("", f"{_TRAIN} --method group_dro\n\n{_EVALUATE}".replace("NAME", "dro")),
        "SpuCo": (
            "spuco",
            f"""{_SPUCO}partition = {{(int(g) // 2, int(g) % 2): torch.nonzero(group == g)[:, 0].tolist() for g in group.unique()}}
GroupDRO(model, GroupLabeledDatasetWrapper(trainset, partition), {BATCH}, optimizer, {EPOCHS}).train()
model.eval()
{_WRITE}""",
        ),
    },
    DFR: {
        "spurcli": (
            "",
            f"train --dataset data.py:load --method dfr --checkpoint erm.safetensors --keep all -o NAME.safetensors\n\n{_EVALUATE}".replace(
                "NAME", "dfr"
            ),
        ),
        "scikit-learn, as DFR's authors": (
            "sklearn",
            """
import numpy as np, torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from data import network, tensors, write_predictions
model = network("erm.safetensors").eval()
def embedded(split):
    pixels, label, group = tensors(split)
    with torch.inference_mode():
        return torch.cat([model[:-1](part) for part in pixels.split(64)]).numpy(), label.numpy(), group.numpy()
(x, y, g), (x_val, y_val, g_val), (x_test, _, _) = map(embedded, ("train", "val", "test"))
scaler = StandardScaler().fit(x)
x, x_val, x_test = map(scaler.transform, (x, x_val, x_test))
def fit(C):
    size = np.bincount(g).min()
    rows = np.concatenate([np.random.choice(np.flatnonzero(g == k), size, replace=False) for k in range(4)])
    return LogisticRegression(penalty="l1", C=C, solver="liblinear").fit(x[rows], y[rows])
def worst(model):
    return min((model.predict(x_val) == y_val)[g_val == k].mean() for k in range(4))
C = max((1, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01), key=lambda C: worst(fit(C)))
fits = [fit(C) for _ in range(10)]
coef, bias = np.mean([f.coef_ for f in fits], 0), np.mean([f.intercept_ for f in fits], 0)
write_predictions((x_test @ coef[0] + bias > 0).astype(int))
""",
        ),
    },
}


def _evaluations(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.json") if not path.name.endswith("history.json")]


def worst_group(folder: Path, name: str) -> float:
    """Worst-group accuracy from the output of a tool: an evaluation, or the predictions that a script wrote."""
    if name == "spurcli":
        (path,) = _evaluations(folder)
        found = json.loads(path.read_text(encoding="utf-8"))
        return float(min(row["accuracy"]["value"] for row in found["per_group"]))
    with np.load(folder / "images.npz") as file:
        right = np.load(folder / "predicted.npy") == file["test_label"]
        group = 2 * file["test_label"] + file["test_attribute"]
    return float(min(right[group == code].mean() for code in np.unique(group)))


def run(text: str, is_ours: bool, folder: Path) -> tuple[float, float, int]:
    """CPU seconds, peak bytes and lines of a tool; for spurcli one process per line of commands."""
    commands = [["-c", text]]
    if is_ours:
        commands = [["-m", "spurcli", *shlex.split(part)] for part in text.strip().split("\n\n")]
    took = [measured([sys.executable, *words], folder) for words in commands]
    lines = len(commands) if is_ours else len(text.strip().splitlines())
    return sum(seconds for seconds, _ in took), max(peak for _, peak in took), lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--samples", type=int, default=960, help="training images; half as many of val, as many of test"
    )
    parser.add_argument("--data-root", type=Path, help="a folder with Waterbirds, instead of made-up images")
    parser.add_argument("--tiny", action="store_true", help="96 small images, to see that it works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(peer_data.__file__, folder / "data.py")
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        images = folder / "images.npz"
        if arguments.data_root:
            peer_data.write_waterbirds(images, arguments.data_root.resolve(), arguments.samples)
        elif arguments.tiny:
            peer_data.write_made_up(images, 96, 16)
        else:
            peer_data.write_made_up(images, arguments.samples)
        for task, tools in TASKS.items():
            print(f"{task}\n{'':32}{'CPU s':>8}{'peak MB':>9}{'worst group':>13}{'lines':>7}")
            for tool, (needs, text) in tools.items():
                if needs and not importlib.util.find_spec(needs):
                    print(f"{tool:32}  not installed: pip install {needs}")
                    continue
                seconds, peak, lines = run(text, not needs, folder)
                worst = worst_group(folder, tool)
                print(f"{tool:32}{seconds:>8.1f}{peak / 1e6:>9.0f}{worst:>13.3f}{lines:>7}", flush=True)
                for left in (*_evaluations(folder), *folder.glob("predicted.npy")):
                    left.unlink()


if __name__ == "__main__":
    main()
