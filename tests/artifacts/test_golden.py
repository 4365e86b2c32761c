"""Today's readers read the files of every version, forever, and give exactly these values.

A failure here means that files which users have can no longer be read: mend the reader, never the golden file.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spurcli.artifacts.addition import STAMP, read_addition
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.checkpoint import read_checkpoint_metadata, weights_sha256_of_file
from spurcli.artifacts.checkpoint_torch import load_tensors
from spurcli.artifacts.dynamics import DynamicsFacts, open_dynamics
from spurcli.artifacts.embeddings import read_embeddings
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.injection import read_injection
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import ScoreInfo, open_scores
from spurcli.artifacts.subject import Subject
from spurcli.evaluation.evaluated import evaluated_from
from spurcli.evaluation.features import Feature
from spurcli.evaluation.matched import Threshold

# Written out, not computed: what the files say must not change with the code.
LABELS = "08a3eabe03ccd84d534cfe5aabb8158407ab007f600462499eb238931ec3febe"
IDS = "a61ac37b072725e3165702f2fd1dfadc016d61ed25fd81e4f32d5cf7bc03a587"
FINGERPRINT = Fingerprint(6, LABELS, IDS)
INJECTION = "272e8323f97d7c78bdc08f443450800e2faf7b4b20d3c7af801d20af2cae039e"
WEIGHTS = "dfee184edc388cbe7de57a95d8d137a71689af01dec337c9fad6b6500d9bdb55"
GROUP_NAMES = ("cat/no line", "cat/line", "dog/no line", "dog/line")
RULE = {"select": "hardest", "fraction": "0.5", "per": "class", "groups": [], "score": "el2n", "seed": None}
LINEAGE = ["spurcli before", "spurcli golden"]


def test_scores_v1(golden):
    with open_scores(golden / "scores-v1.h5") as reader:
        assert reader.header.subject == Subject(FINGERPRINT, INJECTION)
        assert reader.header.class_names == ("cat", "dog")
        assert reader.header.group_names == GROUP_NAMES
        assert reader.header.provenance["lineage"] == LINEAGE
        assert reader.labels().tolist() == [0, 1, 0, 1, 1, 0]
        assert reader.groups().tolist() == [0, 2, 1, 3, 2, 0]
        assert reader.sample_ids(np.arange(6)) == ["a.png", "b.png", "ç.png", "d.png", "e.png", "f.png"]
        assert reader.scores == {
            "el2n": ScoreInfo("el2n", "harder", "||p - e_y||", "Paul 2021", 10, "eval", "float32", (7, 8), (), 2),
            "margin": ScoreInfo("margin", "easier", "", "", None, "augmented", "bf16", (), ("cd" * 32,), 1),
        }
        second = [0.25, 0.25, 0.5, 1.25, 0.0, 0.375]
        assert reader.values("el2n", 0).tolist() == [0.5, 0.25, 1.0, float(np.float32(1.4142135)), 0.0, 0.125]
        assert reader.values("el2n", 1).tolist() == second
        margin = reader.values("margin", 0)
        assert margin.tolist() == [0.5, 0.0, -1.0, float(np.float32(1e-45)), 0.75, 1.0]
        assert np.signbit(margin).tolist() == [False, True, True, False, False, False]
        assert reader.mean_values("el2n").tolist() == [0.375, 0.25, 0.75, 1.3321068286895752, 0.0, 0.25]


def test_dynamics_v1(golden):
    with open_dynamics(golden / "dynamics-v1.h5") as reader:
        assert reader.header.subject == Subject(FINGERPRINT, INJECTION)
        assert (reader.header.class_names, reader.header.group_names) == (("cat", "dog"), GROUP_NAMES)
        assert reader.header.provenance["lineage"] == LINEAGE
        assert reader.facts == DynamicsFacts("eval", "float32", 7, "cd" * 32)
        assert reader.labels().tolist() == [0, 1, 0, 1, 1, 0]
        assert reader.groups().tolist() == [0, 2, 1, 3, 2, 0]
        assert reader.sample_ids() == ("a.png", "b.png", "ç.png", "d.png", "e.png", "f.png")
        taken = reader.values(1, 5)
        assert taken.log_p.tolist() == [[-0.5, -0.25, -1, float(np.float32(-1e-7))], [-1, -0.25, -4, 0]]
        assert taken.margin.tolist() == [[0.5, 1.5, 0, 16], [-0.25, 1.5, -3, 104]]
        assert taken.correct.tolist() == [[True, True, True, True], [False, True, False, True]]


def test_lists_v1(golden):
    for kind, indices in (("keep", [0, 1, 4, 5]), ("remove", [2, 3])):
        found = read_indices(golden / f"{kind}-v1.txt")
        assert found.kind == kind
        assert found.indices.tolist() == indices
        assert found.kept(6).tolist() == [0, 1, 4, 5]
        assert found.subject == Subject(FINGERPRINT, INJECTION)
        assert found.rule == RULE
        assert found.summary == {"total": {"num_samples": 6, "num_removed": 2}}
        assert found.provenance["lineage"] == LINEAGE


def test_errors_v1(golden):
    found = read_indices(golden / "errors-v1.txt", bare_kind="errors")
    assert (found.kind, found.indices.tolist(), found.rule) == ("errors", [1, 4], {"by": "mistakes"})
    assert found.subject == Subject(FINGERPRINT)
    assert found.provenance["lineage"] == LINEAGE


def test_groups_v1(golden):
    found = read_groups(golden / "groups-v1.txt")  # its header states no names: they are in the order of the lines
    (part,) = found.splits.values()
    assert [found.names[code] for code in part.group] == [GROUP_NAMES[code] for code in (0, 2, 1, 3, 2, 0)]
    assert found.names == tuple(GROUP_NAMES[code] for code in (0, 2, 1, 3))
    assert part.subject == Subject(FINGERPRINT, states_injection=False)
    assert (part.probability, found.probability_of) == (None, None)
    assert not found.within_class
    assert found.provenance["lineage"] == LINEAGE


def test_groups_v2(golden):
    found = read_groups(golden / "groups-v2.txt")
    assert found.names == GROUP_NAMES
    assert list(found.splits) == ["train", "val"]
    train, val = found.splits.values()
    assert (train.group.tolist(), val.group.tolist()) == ([0, 2, 1, 3, 2, 0], [0, 2])
    assert train.subject == Subject(FINGERPRINT, states_injection=False)
    assert val.subject == Subject(Fingerprint(2), INJECTION)
    assert found.probability_of == "line"
    assert [str(value) for value in train.probability] == ["0.25", "1.0", "0.0", "nan", "0.875", "1e-09"]
    assert [str(value) for value in val.probability] == ["0.0", "nan"]
    assert train.probability.dtype == np.float32
    assert found.provenance["lineage"] == LINEAGE


def test_checkpoint_v1(golden):
    path = golden / "model-v1.safetensors"
    metadata, weights = read_checkpoint_metadata(path), load_tensors(path)
    assert torch.equal(weights["layer.weight"], torch.tensor([[1.5, -2.0], [0.0, 3.25]]))
    assert torch.equal(weights["layer.bias"], torch.tensor([0.5, -0.5]))
    assert weights_sha256_of_file(path) == metadata["weights_sha256"] == WEIGHTS
    assert metadata["architecture"] == {"name": "mlp", "options": {"hidden": []}}
    assert metadata["class_names"] == ["cat", "dog"]
    assert metadata["preprocessing"] == {"mean": [0.5], "std": [0.5]}
    assert Fingerprint.from_json(metadata["fingerprint"], "x") == FINGERPRINT
    assert metadata["injection_sha256"] == INJECTION
    training = {"recipe": "demo", "seed": 7, "method": "erm", "num_train": 6, "num_kept": 4, "epoch": 2}
    assert metadata["training"] == training
    assert metadata["provenance"]["lineage"] == LINEAGE


def test_history_v1(golden):
    found = read_history(golden / "history-v1.json")
    epoch = {"epoch": 1, "loss": 0.75, "accuracy": 0.5, "learning_rate": 0.1, "samples_seen": 4, "seconds": 1.5}
    assert found["epochs"] == [epoch]
    assert (found["device"], found["seed"], found["num_kept"]) == ("cpu", 7, 4)


def test_injection_v1(golden):
    found = read_injection(golden / "inject-v1.json")
    assert found.sha256 == INJECTION
    assert (found.feature, found.parameters) == ("line", {"channel": 1, "intensity": 0.5})
    assert (found.seed, found.feature_of, found.twin_class) == (7, 0, 1)
    assert (found.dataset, found.dataset_options) == ("demo", {"num_train": 6})
    assert found.carriers.tolist() == [2, 5]
    assert found.fingerprint == FINGERPRINT


def test_audit_v1(golden):
    found = read_audit(golden / "audit-v1.json")
    (suspect,) = found["suspects"]
    assert (found["held_out"], found["class_names"]) == ("val", ["cat", "dog"])
    assert (suspect["name"], suspect["class"], suspect["status"]) == ("place sofa", "cat", "confirmed")
    assert suspect["reliance"]["feature_effect"]["interval"] == [0.25, None]
    assert suspect["shown"]["box"] == [0, 1, 4, 5]
    assert found["provenance"]["lineage"] == LINEAGE


def test_addition_v1(golden):
    found = read_addition(golden / "addition-v1.h5")
    assert (found.name, found.label, found.addition.kind) == ("cat corner", "cat", STAMP)
    assert found.addition.arrays["opacity"].tolist() == [[[1, 0.5], [0, 0]]]
    assert found.addition.arrays["colour"][0, 0].tolist() == [[255, 128, 0], [8, 0, -8.5]]
    assert found.provenance["lineage"] == LINEAGE


def test_evaluation_v1(golden):
    found = read_evaluation(golden / "evaluation-v1.json")
    accuracy = {"value": 0.75, "num_samples": 4, "interval": [0.3, 0.95]}
    assert found["metrics"] == {"accuracy": accuracy}
    assert found["per_class"] == [{"class": "cat", "accuracy": accuracy, "predicted_share": 0.5}]
    assert (found["split"], found["num_samples"], found["injection_sha256"]) == ("test", 4, INJECTION)


@pytest.mark.parametrize("version", [1, 2])
def test_predictions(golden, version):
    found = read_predictions(golden / f"predictions-v{version}.h5")
    assert found.split == "test"
    assert found.logits.tolist() == [[2, 1], [-1, 0.5], [0, 3], [0.25, 0.5]]
    assert found.label.tolist() == [0, 1, 1, 1]
    assert found.group.tolist() == [0, 2, 2, 2]
    assert found.train_group_counts.tolist() == [2, 1, 2, 1]
    assert (found.class_names, found.group_names) == (("cat", "dog"), GROUP_NAMES)
    assert found.twin_index.tolist() == [1, 3]
    assert found.twin_logits.tolist() == [[4, 0], [1, 0.5]]
    assert (found.feature_of, found.twin_class, found.subject.injection_sha256) == (0, 1, INJECTION)
    if version == 1:
        assert (found.features, found.about) == (None, None)
        return
    assert found.about == {"model": None, "training": {"seed": 7}}
    (feature,) = evaluated_from(found).features
    threshold = Threshold(0.5, 0.25, 1.0, "val, samples without the feature")
    assert feature == Feature("line", (0,), threshold=threshold)


def test_embeddings_v1(golden):
    found = read_embeddings(golden / "embeddings-v1.h5")
    assert (found.name, found.class_names, found.attribute_names) == ("demo", ("cat", "dog"), ("no line", "line"))
    assert list(found.splits) == ["train", "test"]
    train, test = found.splits["train"], found.splits["test"]
    assert train.fingerprint == FINGERPRINT
    assert train.sample_id == ("a.png", "b.png", "ç.png", "d.png", "e.png", "f.png")
    assert train.attribute.tolist() == [0, 0, 1, 1, 0, 0]
    assert train.embedding.dtype == np.float32
    assert train.embedding[[1, 3, 5]].tolist() == [
        [0.5, -1, 0.25],
        [-2, 0, float(np.float32(1e-45))],
        [0, 0, float(np.float32(0.1))],
    ]
    assert train.twin_index is None
    assert (test.sample_id, test.label.tolist()) == (None, [0, 1, 1, 1])
    assert test.twin_index.tolist() == [1, 3]
    assert test.twin_embedding.tolist() == [[3, 2, 1], [0, 0, float(np.float32(0.1))]]
    assert (found.injection_sha256, found.injection["feature_of"]) == (INJECTION, 0)
    assert found.backbone["weights_sha256"] == "ef" * 32
