"""What pruning removed, averaged over the lists of a rule."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest

from spurcli.reporting import removed
from spurcli.stages.report import report


def removed_by(summaries):
    found = removed.removed_by(summaries)
    return found and dataclasses.asdict(found)


def summary(counts, carriers=None):
    """`counts`: (removed, samples) of each class."""
    rows = [{"name": f"c{n}", "num_removed": gone, "num_samples": all_} for n, (gone, all_) in enumerate(counts)]
    total = {"num_removed": sum(gone for gone, _ in counts), "num_samples": sum(all_ for _, all_ in counts)}
    quartiles = [{"quartile": n + 1, "num_removed": n, "num_samples": 10} for n in range(4)]
    shares = [{"quartile": n + 1, "share_of_carriers": share} for n, share in enumerate(carriers or [])]
    return {
        "total": total, "by_class": rows, "by_quartile": quartiles, "by_group": None,
        "carriers_by_quartile": shares or None,
    }  # fmt: skip


def test_shares_are_means_of_shares_over_the_lists_with_samples():
    found = removed_by([summary([(1, 10), (0, 0)]), summary([(3, 10), (5, 20)]), {}])
    assert found["num_lists"] == 2
    assert found["by_class"] == [
        {"name": "c0", "share": pytest.approx(0.2), "num_samples": 10, "num_removed": 2},
        {"name": "c1", "share": 0.25, "num_samples": 20, "num_removed": 5},  # where it was empty it lost nothing
    ]
    assert found["total"]["share"] == pytest.approx((1 / 10 + 8 / 30) / 2)
    assert [row["share"] for row in found["by_quartile"]] == [0.0, 0.1, 0.2, 0.3]


def test_carriers_are_averaged_by_quartile():
    found = removed_by([summary([(1, 2)], [0.4, 0.3, 0.2, 0.1]), summary([(1, 2)], [0.2, 0.3, 0.4, 0.1])])
    assert [row["share_of_carriers"] for row in found["carriers_by_quartile"]] == pytest.approx([0.3, 0.3, 0.3, 0.1])


def test_nothing_known_is_nothing_said():
    assert removed_by([{}, {}]) is None
    assert removed_by([{"by_class": "damaged", "total": 7}])["by_class"] == []


def test_a_class_panel_is_drawn_only_where_classes_lost_different_shares(make, tmp_path):
    for name, counts in (("even", [(3, 10), (6, 20)]), ("uneven", [(3, 10), (0, 20)])):
        content = make.evaluation(0.2, rule=make.rule_of("hardest", "0.3"))
        content["training"]["keep"]["summary"] = summary(counts)
        make.save(tmp_path / name / "evaluation.json", content)
        report([tmp_path / name], output=tmp_path / f"{name}-figures", format="svg")
    assert not (tmp_path / "even-figures" / "removed-by-class.svg").exists()
    assert (tmp_path / "uneven-figures" / "removed-by-class.svg").exists()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "even-figures" / "removed.csv").read_text())))
    assert [row["share_removed"] for row in rows if row["part"] == "by_class"] == ["0.3", "0.3"]


def test_a_list_alone_is_shown(spurcli, tmp_path):
    spurcli("score", "--dataset", "demo", "--set", "training.epochs=1", "--set", "dataset.options.num_train=200",
            "--set", "dataset.options.num_val=50", "--set", "dataset.options.num_test=50", "--epoch", "1")  # fmt: skip
    assert spurcli("prune", "--fraction", "0.25", "--per-class").code == 0
    (tmp_path / "scores.h5").unlink()
    done = spurcli("report", "keep.txt", "--json")
    (entry,) = done.json["lists"]
    assert entry["label"] == "Hardest 25 % of each class removed"
    assert entry["removed"]["by_quartile"][3]["share"] > 0.9
    assert entry["removed"]["by_quartile"][0]["num_removed"] == 0
    assert entry["commands"][-1].startswith("spurcli prune")
    assert "What pruning removed" in (tmp_path / "report.html").read_text()
