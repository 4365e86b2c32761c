"""A person's answers about some samples, extended to all by a linear probe on embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.evaluation.auroc import Side, area_between
from spurcli.inferring.evidence import TRAIN, Attribute, Evidence
from spurcli.inferring.probe import fit_probe, most_probable
from spurcli.inferring.tick_file import Ticks, read_ticks
from spurcli.inferring.tick_shares import (
    CONFLICT,
    UNDECIDED,
    Verdict,
    contradicts,
    share_by_class,
    shares_by_quartile,
    verdict,
)

_UNNAMED = "feature"


def ticks(evidence: Evidence, *, ticks: Path) -> Attribute:
    """Which samples carry the ticked feature: answered samples by their answers, the others by the probe.

    In each class and split the most probable samples are carriers; their number is the sum of the probabilities.
    `Evidence.chosen["ticks"]` gets the results of the answers and the probe: AUROC, shares by difficulty, strong, weak or conflict.
    """
    answers = read_ticks(ticks, evidence.label, evidence.class_names, evidence.sample_id)
    embedding = {TRAIN: evidence.embedding, **evidence.other_embeddings}
    index, yes = answers.index[answers.sure], answers.yes[answers.sure]
    probe = fit_probe(embedding, index, yes, _weights(answers)[answers.sure], evidence.seed)
    probability = dict(probe.probability)
    probability[TRAIN][index] = yes
    label = {TRAIN: evidence.label, **evidence.other_labels}
    carries = {split: most_probable(values, label[split]) for split, values in probability.items()}
    evidence.chosen["ticks"] = _told(evidence, answers, probe.held_out)
    name = answers.feature or _UNNAMED
    return Attribute(
        carries.pop(TRAIN), (f"no {name}", name), others=carries, probability=probability, probability_of=name
    )


def _weights(answers: Ticks) -> NDArray[np.float64]:
    """How many samples each answer stands for; 1 each where the file does not say."""
    if (answers.stratum < 0).any():
        return np.ones(len(answers.index))
    num = np.bincount(answers.stratum[answers.sure], minlength=len(answers.stratum_size))
    return np.asarray((answers.stratum_size / np.maximum(num, 1))[answers.stratum], dtype=np.float64)


def _told(evidence: Evidence, answers: Ticks, held_out: NDArray[np.float64]) -> JsonObject:
    """The results of the answers and the probe, for people and programs."""
    index, yes = answers.index[answers.sure], answers.yes[answers.sure]
    label = evidence.label[index]
    classes = []
    totals = share_by_class(answers, evidence.label)
    for y in np.unique(evidence.label[answers.index]).tolist():
        mine = label == y
        shares = shares_by_quartile(answers, evidence.label, y)
        decided = verdict(shares) if shares else Verdict(UNDECIDED, None, None, None)
        if totals and contradicts(totals[0][y], totals[1]):
            decided = replace(decided, answer=CONFLICT, more_ticks=None)
        classes.append(
            {
                "class": evidence.class_names[y],
                "num_yes": int(yes[mine].sum()),
                "num_no": int((~yes[mine]).sum()),
                "auroc": _auroc(held_out[mine], yes[mine]),
                "share": _json_share(asdict(totals[0][y])) if totals else None,
                "shares": [_json_share(asdict(share)) for share in shares] if shares else None,
                "answer": decided.answer,
                "odds_ratio": decided.odds_ratio,
                "interval": list(decided.interval) if decided.interval else None,
                "more_ticks": decided.more_ticks,
            }
        )
    return {
        "feature": answers.feature or _UNNAMED,
        "num_answered": len(answers.index),
        "num_unsure": int((~answers.sure).sum()),
        "num_repeated": answers.num_repeated,
        "num_agreeing": answers.num_agreeing,
        "classes": classes,
    }


def _auroc(held_out: NDArray[np.float64], yes: NDArray[np.bool_]) -> JsonObject | None:
    """AUROC of probes that were not trained on the sample, within one class; None without two samples of each kind."""
    if min(int(yes.sum()), int((~yes).sum())) < 2:
        return None
    area = area_between(Side(held_out[yes]), Side(held_out[~yes]))
    return {"value": area.value, "interval": list(area.interval())}


def _json_share(share: Mapping[str, Any]) -> JsonObject:
    """JSON has no infinity: null where every sample of the quarter was answered."""
    return {key: None if value == float("inf") else value for key, value in share.items()}
