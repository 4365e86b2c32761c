"""What a report does not know it does not invent, and what differs it does not merge."""

from __future__ import annotations

import pytest

from spurcli.stages.report import report

DIGEST = {name: name * 64 for name in "abcdef"}


def read(tmp_path, *places):
    return report(list(places) or [tmp_path / "runs"], output=tmp_path / "out.json")


def finished(make, file, value, *, kind="model", digest="", dataset=True, injection=False, **more):
    """An evaluation of a model or logits that no training here is known of, as `spurcli evaluate` writes it."""
    content = make.evaluation(value, **more)
    content["training"] = None
    content["model"] = {"weights_sha256": digest or f"w-{file}"} if kind == "model" else None
    parents = [{"file": "inject.json", "sha256": "i"}] if injection else []
    content["provenance"]["parents"] = [*parents, {"file": file, "sha256": digest or f"f-{file}"}]
    if not dataset:
        content["provenance"]["settings"] = {}
    return content


@pytest.mark.parametrize("injection", [False, True])
@pytest.mark.parametrize("dataset", [False, True])
@pytest.mark.parametrize(("kind", "file"), [("model", "mymodel.pt"), ("logits", "lg.npy")])
def test_a_finished_model_or_logits_are_named_by_their_file_and_nothing_is_invented(
    make, tmp_path, kind, file, dataset, injection
):
    content = finished(make, file, 0.2, kind=kind, dataset=dataset, injection=injection)
    make.save(tmp_path / "runs" / "evaluation.json", content)
    data = read(tmp_path)
    (arm,) = data["arms"]
    assert (arm["label"], arm["short"], arm["kind"]) == (f"{kind} {file}", f"{kind} {file}", "other")
    assert (arm["method"], arm["selection"]) == ("", "")
    assert "training" not in arm["settings"]
    assert ("model" in arm["settings"]) == (dataset and kind == "model")
    assert ("mlp" in data["title"]) == (dataset and kind == "model")
    assert data["runs"][0]["seed"] is None
    assert "ERM" not in " ".join([*data["verdict"], data["title"]])


def test_two_finished_models_are_two_arms_and_no_mean(make, tmp_path):
    for file, value in (("one.pt", 0.2), ("two.pt", 0.4)):
        make.save(tmp_path / "runs" / f"{file}.json", finished(make, file, value))
    data = read(tmp_path)
    assert {arm["label"]: arm["metrics"]["spurious_misclassification"]["mean"] for arm in data["arms"]} == {
        "model one.pt": 0.2, "model two.pt": 0.4,
    }  # fmt: skip


def test_models_of_one_file_name_are_told_apart_by_where_their_evaluations_lie(make, tmp_path):
    for folder, value in (("a", 0.2), ("b", 0.4)):
        content = finished(make, "model.pt", value, digest=DIGEST[folder])
        make.save(tmp_path / "runs" / folder / "evaluation.json", content)
    data = read(tmp_path)
    assert [arm["label"] for arm in data["arms"]] == ["model model.pt · runs/a/", "model model.pt · runs/b/"]
    assert len({arm["short"] for arm in data["arms"]}) == 2


def test_a_model_that_was_evaluated_on_two_splits_keeps_its_name(make, tmp_path):
    for split in ("test", "val"):
        content = finished(make, "model.pt", 0.2, split=split)
        make.save(tmp_path / "runs" / f"{split}.json", content)
    assert [arm["label"] for arm in read(tmp_path)["arms"]] == ["model model.pt", "model model.pt · val split"]


def test_a_copy_of_a_finished_model_s_evaluation_is_counted_once_and_both_are_named(make, tmp_path):
    for kind in ("model", "logits"):
        for name in ("x", "y"):
            make.save(tmp_path / "runs" / kind / f"{name}.json", finished(make, "f", 0.2, kind=kind))
    data = read(tmp_path)
    assert [arm["num_runs"] for arm in data["arms"]] == [1, 1]
    assert len([remark for remark in data["remarks"] if "x.json" in remark and "y.json" in remark]) == 2


def test_trained_and_finished_models_of_one_data_set_do_not_lend_each_other_settings(make, tmp_path):
    make.save(tmp_path / "runs" / "ours.json", make.evaluation(0.2))
    make.save(tmp_path / "runs" / "theirs.json", finished(make, "lg.npy", 0.3, kind="logits"))
    assert {arm["label"]: arm["details"] for arm in read(tmp_path)["arms"]} == {
        "ERM, all samples": [],
        "logits lg.npy": [],
    }


def test_a_table_of_predictions_is_not_called_logits(make, tmp_path):
    make.save(tmp_path / "runs" / "table.json", finished(make, "p.csv", 0.3, kind="logits"))
    assert [arm["label"] for arm in read(tmp_path)["arms"]] == ["p.csv"]


def fingerprint(digest, num_samples=200):
    return {"num_samples": num_samples, "labels_sha256": DIGEST[digest], "ids_sha256": None}


CHANGES = {
    "other data set": lambda content: content.update(fingerprint=fingerprint("b")),
    "other injection": lambda content: content.update(injection_sha256=DIGEST["b"]),
    "other list": lambda content: content["training"]["keep"].update(sha256=DIGEST["b"]),
    "other recipe": lambda content: content["training"].update(recipe="mine.toml"),
}


@pytest.mark.parametrize("old_seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize("change", CHANGES)
def test_an_old_folder_below_is_never_mixed_into_a_mean(make, tmp_path, change, old_seeds):
    for folder, seeds in (("", (0, 1, 2)), ("old", old_seeds)):
        for seed in seeds:
            content = make.evaluation(0.8 if folder else 0.2, seed=seed, rule=make.rule_of("hardest", "0.3"))
            content |= {"fingerprint": fingerprint("a"), "injection_sha256": f"inject-{seed}"}
            content["training"]["recipe"] = "pets"
            if folder:
                CHANGES[change](content)
            make.save(tmp_path / "runs" / folder / f"{seed}.evaluation.json", content)
    data = read(tmp_path)
    found = [(arm["metrics"]["spurious_misclassification"]["mean"], arm["num_runs"]) for arm in data["arms"]]
    assert found == [(pytest.approx(0.2), 3), (pytest.approx(0.8), len(old_seeds))]
    assert data["arms"][0]["label"] == "Hardest 30 % of each class removed"
    assert change in data["arms"][1]["label"]
    assert any(change in remark and "runs/old/0.evaluation.json" in remark for remark in data["remarks"])
    assert data["arms"][0]["short"] != data["arms"][1]["short"]


def test_draws_of_a_data_set_and_unknown_fingerprints_are_seeds_of_one_arm(make, tmp_path):
    for seed in range(3):  # the data set's draw is the seed here
        content = make.evaluation(0.2, seed=seed, fingerprint=fingerprint("abc"[seed]) if seed else {})
        make.save(tmp_path / "runs" / f"{seed}.evaluation.json", content)
    assert [arm["num_seeds"] for arm in read(tmp_path)["arms"]] == [3]


def test_runs_of_other_injections_are_arms_of_their_own_though_no_inject_json_is_there(make, tmp_path):
    for number, share in enumerate(("0.1", "0.5")):
        for seed in range(2):
            settings = {
                "dataset": {
                    "name": "pets",
                    "options": {},
                    "injection": {"feature": "patch", "sha256": f"{seed}{share}"},
                }
            }
            content = make.evaluation(0.2 + number / 10, seed=10 * number + seed, settings=settings)
            line = f"spurcli inject --dataset pets --feature patch --fraction={share} --seed {seed} -o s{seed}.json"
            content["provenance"]["lineage"].insert(0, line)
            make.save(tmp_path / "runs" / f"{share}-{seed}.evaluation.json", content)
    assert {arm["label"]: arm["num_seeds"] for arm in read(tmp_path)["arms"]} == {
        "ERM, all samples · fraction = 0.1": 2, "ERM, all samples · fraction = 0.5": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [("--epoch 10", "scored_after_epoch = 10"), ("--checkpoint model.pt", "scored_with = a finished model")],
)
def test_lists_by_scores_of_another_kind_are_an_arm_of_their_own(make, tmp_path, options, says):
    for number, asked in enumerate(("--epoch 2", options)):
        for seed in range(2):
            content = make.evaluation(0.2, seed=10 * number + seed, rule=make.rule_of("hardest", "0.3"))
            content["provenance"]["lineage"].insert(0, f"spurcli score --dataset pets {asked} --seed {seed}")
            make.save(tmp_path / "runs" / f"{number}{seed}.evaluation.json", content)
    arms = read(tmp_path)["arms"]
    assert [arm["num_seeds"] for arm in arms] == [2, 2]
    assert any(says in arm["label"] for arm in arms)


def test_runs_of_one_name_in_two_places_are_all_there(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, value in (("a", 0.2), ("b", 0.4)):
        content = make.evaluation(value, seed="ab".index(place))
        make.save(tmp_path / place / "runs" / "evaluation.json", content)
        make.save(
            tmp_path / place / "runs" / "history.json", make.history({**content, "model": {"weights_sha256": None}})
        )
    data = read(tmp_path, tmp_path / "a" / "runs", tmp_path / "b" / "runs")
    names = [run["name"] for run in data["runs"]]
    assert len(set(names)) == len(names)
    assert {"a/runs/evaluation.json", "b/runs/evaluation.json"} < set(names)


def test_a_second_history_of_one_training_is_named(make, tmp_path):
    content = make.evaluation(0.2)
    for folder in ("a", "b"):
        make.save(tmp_path / "runs" / folder / "history.json", make.history(content))
    data = read(tmp_path)
    assert len(data["runs"]) == 1
    assert any("runs/b/history.json" in remark and "runs/a/history.json" in remark for remark in data["remarks"])


def test_one_model_evaluated_twice_with_different_numbers_is_no_pair_of_seeds(make, tmp_path):
    for name, value in (("x", 0.2), ("y", 0.4)):
        make.save(tmp_path / "runs" / f"{name}.json", finished(make, "model.pt", value))
    data = read(tmp_path)
    assert [arm["num_runs"] for arm in data["arms"]] == [1, 1]
    assert any("runs/y.json are shown separately" in remark for remark in data["remarks"])


def test_a_training_that_does_not_say_its_method_is_not_called_erm(make, tmp_path):
    content = make.evaluation(0.2, settings={"method": {}})
    content["training"].pop("method")
    make.save(tmp_path / "runs" / "evaluation.json", content)
    (arm,) = read(tmp_path)["arms"]
    assert (arm["label"], arm["kind"]) == ("Unknown method", "other")


def test_names_with_braces_are_text_in_the_verdict(make, tmp_path):
    make.save(tmp_path / "runs" / "x.json", finished(make, "{0}{level}.pt", 0.2, classes=("{a}", "{b}")))
    (verdict,) = read(tmp_path)["verdict"]
    assert "{a} with the feature, predicted as {b}" in verdict
    assert "model {0}{level}.pt" in verdict
