"""Sections of a report: arms that may be compared, of one split and grouping, with epochs chosen by one rule."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting.arms import Arm
from spurcli.reporting.document import Report, Section
from spurcli.reporting.naming import grouping_words, selection_words, split_words


def sections(arms: Sequence[Arm]) -> list[Section]:
    """Arms that may be compared: of one split and grouping, their epochs chosen by one rule, in the order of the arms.

    Logits made elsewhere, without a known rule, are in the section of the others if those have only one.
    """
    rules: dict[str, set[str]] = {}
    for arm in arms:
        rules.setdefault(arm.split, set()).add(arm.selection)
    places: dict[tuple[str, str, str], list[int]] = {}
    for position, arm in enumerate(arms):
        known = rules[arm.split] - {""}
        selection = next(iter(known)) if len(known) == 1 else arm.selection
        places.setdefault((arm.split, selection, arm.grouping if arm.split else ""), []).append(position)
    several = len({selection for split, selection, _ in places if split}) > 1
    crossed = len({grouping for split, _, grouping in places if split}) > 1
    found = []
    for (split, selection, grouping), positions in places.items():
        about = [split_words(split)] if len(rules) > 1 else []
        about += [selection_words(selection)] if several and split else []
        words = ", ".join([*about, *([grouping_words(grouping)] if crossed and split else [])])
        heading = words[:1].upper() + words[1:]
        found.append(Section(heading, split, selection, grouping, positions))
    return found


def section_name(report: Report, number: int) -> str:
    """What tells a section from others of its split, for a text that speaks of one split: what makes the groups, and how
    epochs were chosen; "" where that split has one section."""
    section = report.sections[number]
    same_split = [other for other in report.sections if other.split == section.split]
    by = [grouping_words(section.grouping)] if len({other.grouping for other in same_split}) > 1 else []
    chosen = [selection_words(section.selection)] if len({other.selection for other in same_split}) > 1 else []
    return ", ".join([*by, *chosen])


def headings(report: Report, positions: Sequence[int]) -> dict[int, str]:
    """Headings before the rows about the arms at `positions`: row → heading of the section that begins there."""
    section_of = {n: section for section in report.sections for n in section.arms}
    found, last = {}, None
    for row, position in enumerate(positions):
        section = section_of[position]
        if section.heading and section is not last:
            found[row] = section.heading
        last = section
    return found


def first_section(report: Report) -> list[int]:
    """The evaluated arms of the first section that has any."""
    evaluated = [[n for n in section.arms if report.arms[n].metrics] for section in report.sections]
    return next(filter(None, evaluated), [])
