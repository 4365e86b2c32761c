"""Which difficulty agrees with that of the same images without the feature? For docs/choosing.md, "Two numbers per sample".

    OMP_NUM_THREADS=1 python benchmarks/runs/two_numbers.py OUTPUT cifar10s-strong --seeds 31 32 --data-root .data

For OUTPUT/SET/seedN/, whose inject.json, clean.json and scores.h5 run.py makes (this script makes them first where they are missing).
All are of the same recipe and epoch. In the injected data: EL2N (scores.h5); the same by models that have not been trained on the
sample (two models, each of one half); and core difficulty, which is the rank of either among the samples of a class in the same fifth by spuriosity
(samples with equal values stay together). Spuriosity is the probability of the label by these two models, or Sebra's rank. Each is compared with EL2N in clean.json, where no sample has the feature: Spearman
correlation over all samples of the class with the feature, and over its carriers only, whose feature is missing in clean.json.
EL2N of the same seed shares its first weights and its order of batches, so the mean correlation with the clean EL2N of the other seeds
is given too, and as a ceiling that of two clean EL2Ns of different seeds. Seeds that have only clean.h5 count as other seeds.

Sebra's groups are left in OUTPUT for run.py. results/two-numbers.jsonl has a line for each set, seed, difficulty and choice of samples.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import rankdata, spearmanr

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

from run import Runs, parser_of
from sets import STRONG, cifar10s_data

from spurcli.artifacts.scores import open_scores
from spurcli.inferring import sources

RESULTS = Path(__file__).parent / "results" / "two-numbers.jsonl"
SETS = {"cifar10s-strong": (STRONG, "airplane/line")}
CLEAN = "EL2N without the feature"
UNSEEN = "by models not trained on the sample"


@contextlib.contextmanager
def noted(owner: Any, name: str, path: Path, array: Callable[[Any], NDArray[Any]]) -> Iterator[None]:
    """Inside, what the function `name` of `owner` returns is also saved: infer writes groups only, not the numbers that they are made of."""
    original = getattr(owner, name)

    def saving(*asked: Any, **keywords: Any) -> Any:
        found = original(*asked, **keywords)
        if not path.exists():  # the first call is for the training split
            np.save(path, array(found))
        return found

    setattr(owner, name, saving)
    try:
        yield
    finally:
        setattr(owner, name, original)


def el2n(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """Float64 [n] of logits [n, classes]: the distance between the probabilities and the label (Paul et al., NeurIPS 2021)."""
    wrong = softmax(logits.astype(np.float64), axis=1)
    wrong[np.arange(len(label)), label] -= 1
    return np.asarray(np.linalg.norm(wrong, axis=1))


def core_difficulty(
    difficulty: NDArray[Any], spuriosity: NDArray[Any], label: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The rank of `difficulty` [n] as a share of its stratum, in (0, 1); a stratum is a class's fifth by `spuriosity` [n]."""
    found = np.empty(len(label))
    for y in np.unique(label):
        members = np.flatnonzero(label == y)
        place = (rankdata(spuriosity[members]) - 0.5) / len(members)
        fifth = np.floor(5 * place).astype(np.int64)
        for part in np.unique(fifth):
            stratum = members[fifth == part]
            found[stratum] = (rankdata(difficulty[stratum]) - 0.5) / len(stratum)
    return found


def difficulties(run: Runs, data: dict[str, Any], clean: dict[str, Any], *, with_sebra: bool = True) -> None:
    """The trainings of a seed, each once: the files that `read` reads."""
    run.score("clean.h5", **clean)
    with noted(sources.FromModels, "held_out_logits", run / "held-out.npy", np.asarray):
        run.infer("halves.groups.txt", by="cross-mistakes", **data)
    if with_sebra:
        with noted(sources, "rank_by_bias", run / "sebra.npy", lambda found: found.rank["train"]):
            run.infer("sebra.groups.txt", by="sebra", **data)


def read(run: Runs, carriers: str) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
    """The difficulties float [n] by name, and which samples are chosen, bool [n] by name."""
    with open_scores(run / "scores.h5") as reader:
        label, group, names = reader.labels(), reader.groups(), list(reader.header.group_names)
        plain = reader.mean_values("el2n")
        y = list(reader.header.class_names).index(carriers.partition("/")[0])
    clean = clean_of(run / "clean.h5")
    logits = np.load(run / "held-out.npy")
    unseen, likely = el2n(logits, label), softmax(logits.astype(np.float64), axis=1)[np.arange(len(label)), label]
    found = {CLEAN: clean, "EL2N": plain, f"EL2N {UNSEEN}": unseen}
    spuriosity = {f"the probability {UNSEEN}": likely}
    if (run / "sebra.npy").is_file():
        rank = np.load(run / "sebra.npy")
        spuriosity["Sebra's rank"] = -np.where(rank == 0, rank.max() + 1, rank)  # never learned: last
    for way, values in spuriosity.items():
        for name, each in (("EL2N", plain), (f"EL2N {UNSEEN}", unseen)):
            found[f"core difficulty: {name} in fifths by {way}"] = core_difficulty(each, values, label)
    return found, {"class": label == y, "carriers": group == names.index(carriers)}


def clean_of(scores: Path) -> NDArray[np.float32]:
    with open_scores(scores) as reader:
        return reader.mean_values("el2n")


def agreement(
    seed: int, found: dict[int, tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]]
) -> Iterator[dict[str, Any]]:
    """For each difficulty of a seed: its correlation with the clean EL2N of the seed, and the mean of those with the other seeds'."""
    difficulty, samples = found[seed]
    for which, chosen in samples.items():
        for name, values in difficulty.items():
            others = [
                float(spearmanr(values[chosen], each[CLEAN][chosen]).statistic)
                for other, (each, _) in found.items()
                if other != seed
            ]
            own = None if name == CLEAN else float(spearmanr(values[chosen], difficulty[CLEAN][chosen]).statistic)
            yield {
                "difficulty": name,
                "samples": which,
                "num_samples": int(chosen.sum()),
                "same_seed": own,
                "other_seeds": float(np.mean(others)) if others else None,
            }


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row for each difficulty: mean ± standard error over seeds."""
    heads = [(which, key) for which in ("class", "carriers") for key in ("same_seed", "other_seeds")]
    yield "| difficulty | " + " | ".join(f"{which}, {key.replace('_', ' ')}" for which, key in heads) + " | seeds |"
    yield "|---" * (len(heads) + 2) + "|"
    for name in dict.fromkeys(line["difficulty"] for line in lines):
        cells = []
        for which, key in heads:
            values = [line[key] for line in lines if (line["difficulty"], line["samples"]) == (name, which)]
            values = [value for value in values if value is not None]
            spread = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}" if values else "–")
        seeds = {line["seed"] for line in lines if line["difficulty"] == name}
        yield f"| {name} | {' | '.join(cells)} | {len(seeds)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, SETS)
    parser.add_argument("--without-sebra", action="store_true", help="its ranking is the longest of these trainings")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    known = []
    if asked.results.is_file():
        known = [json.loads(line) for line in asked.results.read_text(encoding="utf-8").splitlines()]
    for name in asked.sets:
        share, carriers = SETS[name]
        found = {}
        for seed in asked.seeds:
            run = Runs(asked.output, name, seed, asked.data_root)
            run.folder.mkdir(parents=True, exist_ok=True)
            data, clean = cifar10s_data(run, share)
            difficulties(run, data, clean, with_sebra=not asked.without_sebra)
            found[seed] = read(run, carriers)
        for path in sorted((asked.output / name).glob("seed*/clean.h5")):  # of seeds that are not asked for
            found.setdefault(int(path.parent.name.removeprefix("seed")), ({CLEAN: clean_of(path)}, {}))
        lines = [{"set": name, "seed": seed, **line} for seed in asked.seeds for line in agreement(seed, found)]
        known = [line for line in known if line["set"] != name] + lines
        asked.results.write_text("".join(json.dumps(line) + "\n" for line in known), encoding="utf-8")
        print(f"\n### {name}\n", *table(lines), sep="\n", flush=True)


if __name__ == "__main__":
    main()
