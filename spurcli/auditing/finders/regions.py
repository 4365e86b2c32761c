"""Regions of images, causally: does a region of some images of a class move other images towards that class?"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import Addition
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.regions.carriers import Carriers, carriers
from spurcli.auditing.regions.marks import LEAST_INDEPENDENCE
from spurcli.auditing.regions.plan import SEARCH_AND_NULL, Plan, measured_rate, passes, planned
from spurcli.auditing.regions.pushes import Ask, Pixels, margins
from spurcli.auditing.regions.search import Donors, Tried, confirmation, distinct, measured, p_value, refined
from spurcli.auditing.regions.shapes import Region, coarse, rectangle
from spurcli.auditing.stamps import stamp
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.errors import UsageError
from spurcli.randomness import generator
from spurcli.words import counted, duration

_MOST_CLASSES = 20
_MOST, _REFINED = 3, 16  # suspects, and regions that are tried to narrow each
_LONGER = "--finder regions, or a longer --budget, searches fully"
_LEAST_DONORS = 20  # of a class and half; fewer show no lump
_CANDIDATES = 12  # whose independence is measured
_PAIRS = 400  # held-out samples that get the region of a carrier
_MOST_STAMPED = 400  # carriers, and others, whose pixels are compared
_LEAST_CARRIERS = 4  # from which the region is put into held-out samples


def find(
    evidence: Evidence,
    *,
    region: Sequence[tuple[int, int, int, int]] = (),
    most: int = _MOST,
    seconds: float = math.inf,
) -> list[Finding]:
    """The `most` suspicious regions, or what a class has in the named ones (top, left, bottom, right).

    Within about `seconds`, or what is left of the budget: the search takes fewer images then, stops between classes, and says so.
    """
    ask = evidence.ask
    if ask is None or evidence.kind != "images" or evidence.source != "train":
        return []
    inputs: Any = evidence.inputs("train")
    height, width, _ = inputs.shape
    regions = [_named(box, height, width) for box in region] or coarse(height, width)
    classes = _classes(evidence)
    if not classes or not regions:
        return []
    began, limit = time.monotonic(), min(evidence.left(), seconds)
    rate = measured_rate(ask, _read(evidence, "train", np.arange(min(128, len(inputs)))))
    allowed = passes(height, width, limit, rate)
    plan = planned(allowed, rate, len(classes), len(regions))
    _say_plan(evidence, plan, planned(passes(height, width, math.inf, rate), rate, len(classes), len(regions)), limit)
    parts = [_parts(evidence, ask, classes, plan, half) for half in (0, 1)]
    each = plan.donors * plan.recipients
    evidence.progress.start("regions", each * (len(classes) * len(regions) + plan.num_null))
    tried = []
    for searched, y in enumerate(classes):
        if searched and time.monotonic() - began > SEARCH_AND_NULL * limit:
            evidence.note(f"regions: time was up after {searched} of {counted(len(classes), 'class')}; {_LONGER}")
            break
        tried += measured(ask, parts[0][y], y, regions, evidence.progress.advance)
    chosen = distinct(tried, parts[0], _CANDIDATES)[:most]
    if not region:
        chosen = [refined(ask, one, parts[0][one.label], _ignore) for one in chosen]
    null = _null(evidence, ask, tried, parts, plan, classes)
    # class by class all samples are evaluated, with the recipients of both halves; for very large classes as many as the passes allow
    per_class = max(2 * plan.donors, int(0.5 * allowed / max(len(chosen), 1) / (2 * plan.recipients)))
    return [_finding(evidence, ask, one, parts, null, classes, per_class) for one in chosen]


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find` without named regions: passes through the model times its measured pace."""
    inputs: Any = evidence.inputs("train") if evidence.source == "train" else None
    if evidence.ask is None or inputs is None or not evidence.pace > 0:
        return 0.0
    height, width, _ = inputs.shape
    classes, rate = _classes(evidence), 1 / evidence.pace
    if not classes:
        return 0.0
    allowed = passes(height, width, evidence.left(), rate)
    plan = planned(allowed, rate, len(classes), len(coarse(height, width)))
    samples = (
        _MOST * sum(map(len, evidence.labels.values())) / len(evidence.class_names)
    )  # of the classes of the suspects
    carriers = min(2 * plan.recipients * samples, 0.5 * allowed)
    return plan.seconds + evidence.pace * (carriers + _REFINED * _MOST * plan.donors * plan.recipients)


def _classes(evidence: Evidence) -> list[int]:
    return [y for y in evidence.classes(_MOST_CLASSES) if _half(evidence, y, 0).size >= _LEAST_DONORS]


def _say_plan(evidence: Evidence, plan: Plan, full: Plan, limit: float) -> None:
    """A note if the time allows fewer images than the search takes otherwise: then the result depends on the machine's speed."""
    size, usual = (each.donors * each.recipients for each in (plan, full))
    if size < usual:
        evidence.note(
            f"regions: cut short to about {duration(limit)}: {plan.donors} instead of {full.donors} images per class, copied into "
            f"{plan.recipients} instead of {full.recipients} others, by the speed of this machine; {_LONGER}"
        )
    elif not plan.fits:
        evidence.note(
            f"regions: coarse search with {plan.donors} images per class, copied into {plan.recipients} others"
        )


def _ignore(_count: int) -> None:
    """Refining is not counted in advance."""


def _named(box: tuple[int, int, int, int], height: int, width: int) -> Region:
    top, left, bottom, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise UsageError(
            f"The region {left}:{right},{top}:{bottom} is not within images of {width}×{height} pixels",
            f"Give columns and rows: --region 0:{width // 2},0:{height // 2}",
        )
    return rectangle(height, width, box)


def _read(evidence: Evidence, split: str, index: NDArray[np.int64]) -> Pixels:
    inputs: Any = evidence.inputs(split)
    return np.asarray(inputs.read(index))


def _half(evidence: Evidence, y: int, half: int) -> NDArray[np.int64]:
    return np.flatnonzero((evidence.label("train") == y) & (evidence.half("train") == half))


def _parts(evidence: Evidence, ask: Ask, classes: Sequence[int], plan: Plan, half: int) -> dict[int, Donors]:
    """Donors and recipients of each class, both of one half of the training samples."""
    label, split = evidence.label("train"), evidence.held_out
    logits, held_out = evidence.logits(split), evidence.label(split)
    found = {}
    for y in classes:
        rng = generator("audit regions", evidence.seed, half, y)
        donors = rng.permutation(_half(evidence, y, half))[: plan.donors]
        others = np.flatnonzero((label != y) & (evidence.half("train") == half))
        recipients = rng.permutation(others)[: plan.recipients]
        low, own = margins(logits, y), held_out == y
        distance = float(np.median(low[own]) - np.median(low[~own])) if own.any() and not own.all() else 0.0
        pixels = _read(evidence, "train", recipients)
        found[y] = Donors(_read(evidence, "train", donors), pixels, label[recipients], ask(pixels), distance)
    return found


def _null(
    evidence: Evidence,
    ask: Ask,
    tried: Sequence[Tried],
    parts: Sequence[dict[int, Donors]],
    plan: Plan,
    classes: Sequence[int],
) -> NDArray[np.float64]:
    """The effect of regions of a class on other classes, on half 1: strength times independence; empty for two classes."""
    if len(classes) < 3:
        return np.empty(0)
    order = generator("audit regions null", evidence.seed).permutation(len(tried))[: plan.num_null]
    found = []
    for one in (tried[k] for k in order.tolist()):
        targets = _targets(parts, one.label, classes)
        strength, independence = confirmation(
            ask, one, parts[0][one.label], parts[1][one.label], targets, evidence.progress.advance
        )
        found.append(np.delete(strength * independence, targets.index(one.label)))
    return np.concatenate(found)


def _targets(parts: Sequence[dict[int, Donors]], y: int, classes: Sequence[int]) -> list[int]:
    """The classes for which class y has recipients of another class in both halves: of very few recipients all may be of one."""
    return [target for target in classes if all((part[y].recipient_label != target).any() for part in parts)]


def _finding(
    evidence: Evidence,
    ask: Ask,
    one: Tried,
    parts: Sequence[dict[int, Donors]],
    null: NDArray[np.float64],
    classes: Sequence[int],
    most: int,
) -> Finding:
    y, where = one.label, one.region.where
    # with two classes there is no recipient of a third class
    targets = _targets(parts, y, classes) if len(classes) > 2 else [y]
    strength, independence = confirmation(ask, one, parts[0][y], parts[1][y], targets, _ignore)
    k = targets.index(y)
    foreign = float(independence[k])
    recipients = np.concatenate([parts[0][y].recipients, parts[1][y].recipients])
    labels = {split: evidence.label(split) for split in evidence.splits if evidence.inputs(split) is not None}
    who = carriers(ask, partial(_read, evidence), labels, y, one.region, recipients, most=most)
    doubt = ""
    if not len(null):
        doubt = _too_few(len(classes), len(evidence.class_names))
    elif foreign < LEAST_INDEPENDENCE:
        doubt = "the rest of the image also identifies the carriers: the feature may belong to the object, or cover more than this region"
    called = evidence.class_names[y]
    return Finding(
        name=short_name(called, one.region.name),
        finder="regions",
        label_index=y,
        presence=who.presence,
        statement=f"Some images of {called} have something in {where} that moves other images towards {called}",
        shown={"box": list(one.region.box)},
        details={
            "region": one.region.name,
            "strength": round(float(strength[k]), 1),
            "independence": round(foreign, 2),
            "shift": round(one.shift, 3),
            "separation": round(who.separation, 1),
            "num_donors": len(parts[0][y].donors) + len(parts[1][y].donors),
            "num_recipients": len(recipients),
            "num_null": len(null),
        },
        counterfactual=_pairs(evidence, ask, one, who),
        addition=_addition(evidence, one, who),
        p_value=p_value(float(strength[k]) * foreign, null) if len(null) else None,
        doubt=doubt,
        inferred=True,
    )


def _addition(evidence: Evidence, one: Tried, who: Carriers) -> Addition | None:
    """What carriers have in and next to the region: the search narrows the region, and the feature may reach beyond it."""
    known = np.flatnonzero(evidence.label("train") == one.label)
    carried = np.nan_to_num(who.presence["train"][known], nan=0.5)
    rng = generator("audit regions stamp", evidence.seed, one.label)
    with_it, without = (rng.permutation(known[chosen])[:_MOST_STAMPED] for chosen in (carried > 0.9, carried < 0.1))
    index = np.concatenate([with_it, without])
    mine = np.repeat([1.0, 0.0], [len(with_it), len(without)])
    return stamp(_read(evidence, "train", index), mine[None], 1 - mine, one.region.mask)


def _too_few(num_searched: int, num_classes: int) -> str:
    """Why there is no null: too few classes, or too few of them with enough samples."""
    enough = f", of which {num_searched} with at least {2 * _LEAST_DONORS} training samples" if num_classes > 2 else ""
    return f"{num_classes} classes{enough}: a region needs two other classes for comparison"


def _pairs(evidence: Evidence, ask: Ask, one: Tried, who: Carriers) -> Counterfactual | None:
    """Held-out samples of half 1 with the region of a carrier, and, as a control, with that of a non-carrier of the same class."""
    split, y = evidence.held_out, one.label
    if evidence.inputs(split) is None:
        return None
    presence = who.presence["train"]
    known = _half(evidence, y, 1)
    with_it = known[np.nan_to_num(presence[known], nan=0.5) > 0.9]
    without = known[np.nan_to_num(presence[known], nan=0.5) < 0.1]
    if min(len(with_it), len(without)) < _LEAST_CARRIERS:
        return None
    rng = generator("audit regions pairs", evidence.seed, y)
    index = np.sort(rng.permutation(np.flatnonzero(evidence.half(split) == 1))[:_PAIRS])
    pixels = _read(evidence, split, index)
    made = []
    for donors in (with_it, without):
        images = pixels.copy()
        images[:, one.region.mask] = _read(evidence, "train", rng.choice(donors, len(index)))[:, one.region.mask]
        made.append(images)
    return Counterfactual.asked(index, made[0], made[1], ask, evidence.second_ask)
