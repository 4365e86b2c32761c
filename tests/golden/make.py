"""How the golden files of the newest versions were made. Not run by the tests: a golden file is never made again.

When a format gets a new version, add its files beside these (`scores-v2.h5`) and leave the old ones alone.

    python tests/golden/make.py FOLDER

unfinished-1.state is OUTPUT.state/ of a training that was interrupted: SPURCLI_TEST_WRITE_STATE=FOLDER with tests/training/test_pins.py
writes one. weights.json holds hashes of trained weights (tests/support/pins.py).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from spurcli.artifacts.addition import STAMP, Addition, StoredAddition, write_addition
from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.audit import write_audit
from spurcli.artifacts.canary import write_canary
from spurcli.artifacts.checkpoint_torch import save_checkpoint
from spurcli.artifacts.dynamics import DynamicsFacts, EpochDynamics, write_dynamics
from spurcli.artifacts.embeddings import EmbeddedSplit, Embeddings, write_embeddings
from spurcli.artifacts.evaluation import write_evaluation
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.artifacts.history import write_history
from spurcli.artifacts.indices import IndexList, write_indices
from spurcli.artifacts.injection import Injection, Planted, write_injection
from spurcli.artifacts.predictions import Predictions, write_predictions
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject

LABEL = np.array([0, 1, 0, 1, 1, 0])
GROUP = np.array([0, 2, 1, 3, 2, 0])
GROUP_NAMES = ("cat/no line", "cat/line", "dog/no line", "dog/line")
SAMPLE_ID = ("a.png", "b.png", "ç.png", "d.png", "e.png", "f.png")
EL2N = np.array([[0.5, 0.25, 1.0, 1.4142135, 0.0, 0.125], [0.25, 0.25, 0.5, 1.25, 0.0, 0.375]], dtype=np.float32)
MARGIN = np.array([[0.5, -0.0, -1.0, 1e-45, 0.75, 1.0]], dtype=np.float32)
DYNAMICS = [
    EpochDynamics(
        np.array([-2, -0.5, -0.25, -1, -1e-7, -0.125], np.float32),
        np.array([-1, 0.5, 1.5, 0, 16, 2], np.float32),
        np.array([False, True, True, True, True, True]),
    ),
    EpochDynamics(
        np.array([-0.5, -1, -0.25, -4, 0, -0.0625], np.float32),
        np.array([0.5, -0.25, 1.5, -3, 104, 3], np.float32),
        np.array([True, False, True, False, True, True]),
    ),
]
LOGITS = np.array([[2, 1], [-1, 0.5], [0, 3], [0.25, 0.5]], dtype=np.float32)
TWIN_LOGITS = np.array([[4, 0], [1, 0.5]], dtype=np.float32)
EMBEDDING = np.array([[0, 1, 2], [0.5, -1, 0.25], [1, 1, 1], [-2, 0, 1e-45], [3, 2, 1], [0, 0, 0.1]], dtype=np.float32)
FINGERPRINT = Fingerprint.of(LABEL, SAMPLE_ID)
PROVENANCE = {
    "stage": "golden",
    "command": "spurcli golden",
    "lineage": ["spurcli before", "spurcli golden"],
    "settings": {"dataset": {"name": "demo", "options": {}, "injection": None}, "recipe": "demo", "seed": 7},
    "arguments": {"fraction": "0.5"},
    "parents": [{"file": "before.h5", "sha256": "ab" * 32}],
    "versions": {"spurcli": "0.1.0"},
}
RULE = {"select": "hardest", "fraction": "0.5", "per": "class", "groups": [], "score": "el2n", "seed": None}


FEATURE = {
    "name": "line",
    "classes": [0],
    "attribute": None,
    "against": None,
    "note": "",
    "threshold": {"value": 0.5, "low": 0.25, "high": 1.0, "source": "val, samples without the feature"},
    "cross_fit": False,
}

UNDEFINED = {"value": None, "num_samples": 0, "interval": None, "reason": "not measured"}
AUDIT = {
    "held_out": "val",
    "kind": "images",
    "class_names": ["cat", "dog"],
    "splits": {"train": {"num_samples": 6, "fingerprint": FINGERPRINT.to_json(), "injection_sha256": None}},
    "model": {"weights_sha256": "cd" * 32, "architecture": {"name": "mlp", "options": {}}},
    "second": None,
    "seed": 7,
    "finders": [{"name": "columns", "num_findings": 1, "note": ""}],
    "suspects": [
        {
            "rank": 1,
            "name": "place sofa",
            "finder": "columns",
            "class": "cat",
            "status": "confirmed",
            "reason": "",
            "statement": "Samples with place = sofa are predicted cat more often",
            "shown": {"column": "place", "value": "= sofa", "box": [0, 1, 4, 5], "words": ["sofa"]},
            "details": {"z_push": 4.5},
            "is_inferred": False,
            "carriers": {
                "train": [{"class": "cat", "num_samples": 3, "num_known": 3, "num_carriers": 2.5, "share": 0.8333}]
            },
            "utility": {
                "value": 1.5,
                "num_samples": 6,
                "share_in_class": 0.75,
                "share_elsewhere": 0.25,
                "p_value": 0.01,
            },
            "detectability": UNDEFINED,
            "reliance": {"feature_effect": {"value": 0.5, "num_samples": 4, "interval": [0.25, None]}},
            "judged_by": "groups",
            "expected_harm": 1.25,
            "p_value": 0.01,
            "p_adjusted": 0.02,
            "groups": "suspects/1.groups.txt",
            "next": ["spurcli train"],
        }
    ],
    "warnings": ["3 columns look like ids"],
    "provenance": PROVENANCE,
}


ADDITION = Addition(
    STAMP,
    arrays={
        "opacity": np.array([[[1, 0.5], [0, 0]]], dtype=np.float32),
        "colour": np.array([[[[255, 128, 0], [8, 0, -8.5]], [[0, 0, 0], [0, 0, 1e-45]]]], dtype=np.float32),
    },
)


_OVER_SEEDS = {"value": 0.75, "interval": [0.5, 1.0], "num_seeds": 2}
CANARY = {
    "dataset": "demo",
    "split": "val",
    "share": 0.3,
    "max_cost": 1.0,
    "canaries": [{"name": "patch +71", "effect_all": _OVER_SEEDS, "counts": True, "reason": ""}],
    "fractions": [
        {
            "fraction": "0.2",
            "effect": _OVER_SEEDS,
            "effect_random": {"value": 1.0, "interval": None, "num_seeds": 1},
            "ratio": _OVER_SEEDS,
            "ratio_to_all": {"value": None, "interval": None, "num_seeds": 2},
            "cost": _OVER_SEEDS,
            "cost_against_random": _OVER_SEEDS,
            "helps": True,
            "affordable": True,
        }
    ],
    "effect_all": _OVER_SEEDS,
    "fraction": "0.2",
    "verdict": "helps",
    "runs": [{"seed": 1, "canaries": [], "accuracy": {"all": 75.0}}],
    "provenance": PROVENANCE,
}


def make(folder: Path) -> None:
    """Write every format once."""
    injection = Injection(
        feature="line",
        parameters={"channel": 1, "intensity": 0.5},
        seed=7,
        dataset="demo",
        dataset_options={"num_train": 6},
        fingerprint=FINGERPRINT,
        feature_of=0,
        twin_class=1,
        carriers=np.array([2, 5]),
        provenance=PROVENANCE,
    )
    write_injection(folder / "inject-v1.json", injection)
    further = Planted("patch", {"size": 2, "value": 71}, 7, 1, np.array([0, 3]))
    write_injection(folder / "inject-v2.json", replace(injection, further=(further,)))
    subject = Subject(FINGERPRINT, injection.sha256)
    header = ScoresHeader(subject, ("cat", "dog"), GROUP_NAMES, PROVENANCE)
    with write_scores(folder / "scores-v1.h5", header, LABEL, sample_id=SAMPLE_ID, group=GROUP) as writer:
        for info, values in (
            (ScoreInfo("el2n", "harder", "||p - e_y||", "Paul 2021", 10, seeds=(7, 8), num_runs=2), EL2N),
            (ScoreInfo("margin", "easier", view="augmented", precision="bf16", weights_sha256=("cd" * 32,)), MARGIN),
        ):
            writer.add_score(info)
            for run, row in enumerate(values):
                writer.write(info.name, run, 0, row)
    for kind, indices in (("keep", [0, 1, 4, 5]), ("remove", [2, 3])):
        listed = IndexList(
            np.array(indices),
            kind,
            subject,
            rule=RULE,
            summary={"total": {"num_samples": 6, "num_removed": 2}},
            provenance=PROVENANCE,
        )
        write_indices(folder / f"{kind}-v1.txt", listed)
    wrong = IndexList(np.array([1, 4]), "errors", Subject(FINGERPRINT), rule={"by": "mistakes"}, provenance=PROVENANCE)
    write_indices(folder / "errors-v1.txt", wrong)
    unstated = Subject(FINGERPRINT, states_injection=False)
    known = np.array([0.25, 1, 0, np.nan, 0.875, 1e-9], dtype=np.float32)
    parts = {
        "train": GroupPart(GROUP, unstated, known),
        "val": GroupPart(GROUP[:2], Subject(Fingerprint(2), injection.sha256), known[2:4]),
    }
    write_groups(folder / "groups-v2.txt", GroupList(GROUP_NAMES, parts, probability_of="line", provenance=PROVENANCE))
    weights = {"layer.weight": torch.tensor([[1.5, -2.0], [0.0, 3.25]]), "layer.bias": torch.tensor([0.5, -0.5])}
    facts = {"recipe": "demo", "seed": 7, "method": "erm", "num_train": 6, "num_kept": 4, "epoch": 2}
    metadata = {
        "architecture": {"name": "mlp", "options": {"hidden": []}},
        "class_names": ["cat", "dog"],
        "preprocessing": {"mean": [0.5], "std": [0.5]},
        **subject.to_json(),
        "training": facts,
        "provenance": PROVENANCE,
    }
    save_checkpoint(folder / "model-v1.safetensors", weights, metadata)
    epochs = [{"epoch": 1, "loss": 0.75, "accuracy": 0.5, "learning_rate": 0.1, "samples_seen": 4, "seconds": 1.5}]
    write_history(folder / "history-v1.json", epochs, {**facts, "device": "cpu"}, PROVENANCE)
    accuracy = {"value": 0.75, "num_samples": 4, "interval": [0.3, 0.95]}
    evaluation = {
        "split": "test",
        "num_samples": 4,
        "class_names": ["cat", "dog"],
        "metrics": {"accuracy": accuracy},
        "per_class": [{"class": "cat", "accuracy": accuracy, "predicted_share": 0.5}],
        "per_group": [],
        "warnings": ["Only 4 samples"],
        "fingerprint": Fingerprint.of(np.array([0, 1, 1, 1])).to_json(),
        "injection_sha256": injection.sha256,
        "provenance": PROVENANCE,
    }
    write_evaluation(folder / "evaluation-v1.json", evaluation)
    write_audit(folder / "audit-v1.json", AUDIT)
    write_addition(folder / "addition-v1.h5", StoredAddition(ADDITION, "cat corner", "cat", PROVENANCE))
    write_canary(folder / "canary-v1.json", CANARY)
    facts = DynamicsFacts("eval", "float32", 7, "cd" * 32)
    write_dynamics(
        folder / "dynamics-v1.h5", header, facts, len(DYNAMICS), DYNAMICS, LABEL, sample_id=SAMPLE_ID, group=GROUP
    )
    write_predictions(
        folder / "predictions-v2.h5",
        Predictions(
            split="test",
            logits=LOGITS,
            label=np.array([0, 1, 1, 1]),
            class_names=("cat", "dog"),
            subject=Subject(Fingerprint.of(np.array([0, 1, 1, 1])), injection.sha256),
            provenance=PROVENANCE,
            group=np.array([0, 2, 2, 2]),
            group_names=GROUP_NAMES,
            twin_index=np.array([1, 3]),
            twin_logits=TWIN_LOGITS,
            train_group_counts=np.array([2, 1, 2, 1]),
            feature_of=0,
            twin_class=1,
            features=(FEATURE,),
            about={"model": None, "training": {"seed": 7}},
        ),
    )
    test_label = np.array([0, 1, 1, 1])
    embeddings = Embeddings(
        name="demo",
        class_names=("cat", "dog"),
        splits={
            "train": EmbeddedSplit(EMBEDDING, LABEL, FINGERPRINT, np.array([0, 0, 1, 1, 0, 0]), SAMPLE_ID),
            "test": EmbeddedSplit(
                EMBEDDING[:4],
                test_label,
                Fingerprint.of(test_label),
                np.zeros(4, dtype=np.int64),
                twin_index=np.array([1, 3]),
                twin_embedding=EMBEDDING[4:],
            ),
        },
        backbone={"model": "mlp", "options": {}, "layer": "last", "num_dimensions": 3, "weights_sha256": "ef" * 32},
        provenance=PROVENANCE,
        attribute_names=("no line", "line"),
        injection=injection.content(),
        injection_sha256=injection.sha256,
    )
    write_embeddings(folder / "embeddings-v1.h5", embeddings)
    write_json(folder / "report-v1.json", {"format": "spurcli.report", "version": 1, "title": "demo", "arms": []})


if __name__ == "__main__":
    make(Path(sys.argv[1]))
