"""Arms as people name them: `erm`, `prune:0.1`, `prune:0.25@auto`, `prune:0.5@auto+sebra`, `group_dro+mistakes`, `own.py:Method`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from spurcli.errors import UsageError
from spurcli.registries import METHODS, WAYS
from spurcli.registry import is_user_code, near
from spurcli.settings import Table

AUTO = "auto"  # as in spurcli.pruning.rules, which loads numpy
# Words for the samples to remove; all train by ERM.
ORDERS = {"prune": "hardest", "easiest": "easiest", "random": "random"}
GRAMMAR = (
    "erm, prune:FRACTION, prune:FRACTION@auto, prune:FRACTION@auto+WAY, prune:FRACTION@CLASS/ATTRIBUTE, METHOD, METHOD+WAY, "
    "METHOD:FRACTION"
)
_ARM = re.compile(r"(?P<name>.+?)(?:\+(?P<way>[\w-]+))?(?::(?P<fraction>\d*\.?\d+(?:[eE]-?\d+)?))?(?:@(?P<group>.+))?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
FOLDER_OF_SEED = re.compile(r"seed\d+")


@dataclass(frozen=True)
class Rule:
    """Which samples an arm trains without, in the words of `prune`.

    The groups it names are those of the data set, inferred by the way `inferred`, or of `suspects` (AUDIT:N,N) of an audit. `quotas`: by the early model's recall on val.
    """

    fraction: str
    select: str = "hardest"
    per_class: bool = True
    group: tuple[str, ...] = ()
    balance_classes: bool = False
    balance_groups: bool = False
    quotas: bool = False
    score: str | None = None
    inferred: str | None = None
    suspects: str | None = None

    @property
    def names_groups(self) -> bool:
        return bool(self.group or self.balance_groups)

    @property
    def takes_all(self) -> bool:
        """Whether it removes complete groups, for which no difficulty needs to be known."""
        return bool(self.group or self.suspects) and Decimal(self.fraction) == 1


@dataclass(frozen=True)
class Arm:
    """One way of training, run once for every seed. `name` is its folder.

    It trains by `method` on all samples, on those that `rule` keeps, or on those of the list `keep`. Groups for the method are
    those of the data set, of the file `group_labels`, or inferred by the way `inferred`. `settings` are dotted keys that are set
    for this arm alone. `match` is the arm whose random control this one is: the same number of samples of each class is removed, with
    `match_groups` of each class and group.
    """

    name: str
    method: str = "erm"
    rule: Rule | None = None
    keep: str | None = None
    group_labels: str | None = None
    inferred: str | None = None
    recipe: str | None = None
    settings: Table = field(default_factory=dict)
    same_steps: bool = False
    match: str | None = None
    match_groups: bool = False

    @property
    def is_erm(self) -> bool:
        """Whether this is plain ERM on all samples: the source of scores and early models."""
        return self == Arm(self.name)

    def control(self, name: str = "") -> Arm:
        """Its matched random control: trained in the same way, on as many samples of each class (and group, if groups were pruned)."""
        assert self.rule
        return replace(self, name=name or f"{self.name}-random", match=self.name, match_groups=self.rule.names_groups)


def read_arms(words: str | Sequence[str], *, controls: bool = True) -> list[Arm]:
    """The arms that `words` names (a text separated by commas, or a sequence), each pruned one followed by its control."""
    named = words.split(",") if isinstance(words, str) else [str(word) for word in words]
    arms = [parse_arm(word.strip()) for word in named if word.strip()]
    return checked(each for arm in arms for each in with_control(arm, control=controls))


def with_control(arm: Arm, *, control: bool | str = True) -> list[Arm]:
    """The arm and, if it prunes by difficulty, its random control: under the name `control` if that is a text."""
    needs_one = arm.rule is not None and arm.rule.select != "random"
    return [arm, arm.control(control if isinstance(control, str) else "")] if control and needs_one else [arm]


def checked(arms: Any) -> list[Arm]:
    """The arms, once each. Raises UsageError for none, and for two that would share a folder."""
    found: dict[str, Arm] = {}
    for arm in arms:
        if FOLDER_OF_SEED.fullmatch(arm.name) or not _NAME.fullmatch(arm.name):
            raise UsageError(f"{arm.name!r} cannot be the name of an arm", "Use letters, digits, '.', '-' and '_'.")
        if found.setdefault(arm.name, arm) != arm:
            raise UsageError(f"Two arms are called {arm.name}", "Give them names in a file: --arms study.toml")
    if not found:
        raise UsageError("No arm is named", "For instance: --arms erm,prune:0.1,group_dro")
    return list(found.values())


def parse_arm(word: str) -> Arm:
    """One arm from its word. Raises UsageError if the word is not an arm."""
    match = _ARM.fullmatch(word)
    name = match["name"] if match else ""
    if not match or not (name in ORDERS or name in METHODS or is_user_code(name)):
        known = [*ORDERS, *METHODS.entries]
        hint = f"Write one of {GRAMMAR}. Methods: {', '.join(METHODS.entries)}, or your own file.py:attr"
        raise UsageError(f"Unknown arm {word!r}{near(name or word, known)}", hint)
    fraction, way = match["fraction"], match["way"]
    group, group_way = _group_and_way(match["group"], word)
    at = f"@{match['group']}" if group else ""
    if name in ORDERS and fraction is None:
        raise UsageError(f"{word}: which fraction?", f"Write {name}:0.1{at}")
    if group and fraction is None:
        raise UsageError(f"{word}: groups apply only to pruning", f"Write {name}:0.1{at}")
    if name in ORDERS and way:
        also = "" if group_way else f", or prune in inferred groups: {name}:{fraction}@{group or AUTO}+sebra"
        raise UsageError(f"{word}: ERM needs no groups", f"Write {name}:{fraction}{at}{also}")
    rule = None
    if fraction is not None:
        groups = (group,) if group else ()
        select = ORDERS.get(name, "hardest")
        rule = Rule(checked_fraction(fraction, word), select, per_class=not groups, group=groups, inferred=group_way)
        require_auto(rule, word)
    in_groups = [slug(part) for part in (group, group_way and _called(group_way)) if part]
    called = "-".join([_called(name), *filter(None, (way, fraction)), *in_groups])
    return Arm(called, "erm" if name in ORDERS else name, rule, inferred=checked_way(way, word))


def _group_and_way(text: str | None, word: str) -> tuple[str | None, str | None]:
    """`auto+sebra` as the group and the way to infer it; a group's name may hold a "+" if no way follows it."""
    group, plus, way = (text or "").rpartition("+")
    if plus and (way in WAYS or group == AUTO):
        return group, checked_way(way, word)
    return text, None


def require_auto(rule: Rule, where: str) -> None:
    """Raise UsageError if the groups that a way infers cannot be matched to classes: before it is trained."""
    way = WAYS.entries.get(rule.inferred or "")
    if AUTO in rule.group and way and not way.facts.get("auto", True):
        raise UsageError(
            f"{where}: auto cannot match the groups that {rule.inferred} infers to classes",
            "Use auto+sebra or auto+predictions, or name a group (spurcli list ways shows the names).",
        )


def _called(name: str) -> str:
    """The name of a method in folder names; the function's name for a user's own."""
    return name.rpartition(":")[2]


def slug(text: str) -> str:
    """Text as a part of a file name: `3/patch` as `3-patch`."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-") or "group"


def checked_fraction(fraction: Any, where: str) -> str:
    try:
        if 0 < Decimal(str(fraction)) < 1:
            return str(fraction)
    except InvalidOperation:
        pass
    raise UsageError(f"{where}: the fraction {fraction} is not between 0 and 1", "Write the share to remove, e.g. 0.1.")


def checked_way(way: str | None, where: str) -> str | None:
    if way == "ticks":
        raise UsageError(
            f"{where}: ticks are a person's answers, which a study does not have",
            "Infer the groups first (spurcli infer --by ticks --ticks ticks.csv -o groups.txt), and name them: --group-labels "
            "groups.txt, with an arm such as group_dro or prune:0.5@auto.",
        )
    if way is not None and way not in WAYS and not is_user_code(way):
        raise UsageError(
            f"{where}: unknown way of inferring groups {way!r}{near(way, WAYS.entries)}",
            f"Choose from: {', '.join(WAYS.entries)}",
        )
    return way
