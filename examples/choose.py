"""Of each method's tries the best by validation, as variables for methods.sh.   python choose.py TUNING/seed0 [METRIC]

Rule: the try with the highest val METRIC (worst_group_accuracy, or accuracy) of any epoch; with several tuning seeds, of the mean
over them; of ties the first. Reads history.json only: nothing about test is in there.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path


def main(folders: list[Path], metric: str) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for history in sorted(folder.glob("*-*/history.json")):
            method, _, value = history.parent.name.partition("-")
            epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"]
            values = [epoch["evaluations"]["val"][metric] for epoch in epochs if "evaluations" in epoch]
            if values:
                found[method][value].append(max(values))
    for method, tries in found.items():
        means = {value: statistics.mean(scores) for value, scores in tries.items()}
        print(f"TRY_{method}={max(means, key=means.__getitem__)}")
        print(f"{method}: " + ", ".join(f"{value} {mean:.1%}" for value, mean in means.items()), file=sys.stderr)


if __name__ == "__main__":
    metrics = [word for word in sys.argv[1:] if not Path(word).is_dir()]
    main(
        [Path(word) for word in sys.argv[1:] if Path(word).is_dir()], metrics[0] if metrics else "worst_group_accuracy"
    )
