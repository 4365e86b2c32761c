"""Rules that choose an epoch are told once: settings, training, reports, list and help read one table."""

from __future__ import annotations

import pytest
from torch import nn

from spurcli import epoch_rules
from spurcli.epoch_rules import LAST, RULES, EpochRule
from spurcli.errors import UsageError
from spurcli.reporting.naming import selection_words
from spurcli.session import configure
from spurcli.training.best import BestEpochs


@pytest.fixture
def best_loss(monkeypatch):
    rule = EpochRule("best val log loss", "The lowest log loss", epoch_rules._of_val("log_loss", -1), metric="log_loss")
    monkeypatch.setitem(RULES, "best-val-log-loss", rule)
    return "best-val-log-loss"


def test_a_new_rule_is_chosen_in_settings_and_by_training(best_loss):
    settings = configure("demo", overrides={"training.selection": best_loss})
    assert settings.training.selection == best_loss
    best = BestEpochs({best_loss, LAST})
    for epoch, value in enumerate((0.9, 0.4, None, 0.4, 0.7), start=1):
        best.note(nn.Linear(1, 1), {"epoch": epoch, "evaluations": {"val": {"log_loss": value}}})
    assert (best.facts[best_loss]["epoch"], best.facts[best_loss]["metric"]) == (
        2,
        "log_loss",
    )  # of equal ones the first


def test_rules_are_listed_and_named_in_reports(spurcli):
    listed = {row["name"] for row in spurcli("list", "rules", "--json").json["rules"]}
    assert listed == set(RULES)
    assert {selection_words(name) for name in RULES} == {rule.label for rule in RULES.values()}


def test_an_unknown_rule_is_answered_with_the_near_one_and_all():
    with pytest.raises(UsageError) as caught:
        configure("demo", overrides={"training.selection": "best-val-men"})
    assert "best-val-mean?" in str(caught.value.problem)
    assert all(name in caught.value.hint for name in RULES)


@pytest.mark.parametrize("name", [name for name in RULES if name != LAST])
def test_rules_say_which_labels_of_the_validation_split_they_read(name):
    rule = RULES[name]
    assert rule.reads_labels
    assert rule.reads_groups is ("group" in rule.metric)
    assert rule.value({"epoch": 1, "evaluations": {"val": {}}}) is None
