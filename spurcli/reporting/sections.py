"""Sections of a report: arms that may be compared, of one split and with epochs chosen by one rule."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting.arms import Arm
from spurcli.reporting.document import Report, Section
from spurcli.reporting.naming import selection_words


def sections(arms: Sequence[Arm]) -> list[Section]:
    """Arms that may be compared: of one split, their epochs chosen by one rule, in the order of the arms.

    Logits made elsewhere, without a known rule, are in the section of the others if those have only one.
    """
    rules: dict[str, set[str]] = {}
    for arm in arms:
        rules.setdefault(arm.split, set()).add(arm.selection)
    places: dict[tuple[str, str], list[int]] = {}
    for position, arm in enumerate(arms):
        known = rules[arm.split] - {""}
        selection = next(iter(known)) if len(known) == 1 else arm.selection
        places.setdefault((arm.split, selection), []).append(position)
    several = len({selection for split, selection in places if split}) > 1
    found = []
    for (split, selection), positions in places.items():
        about = [f"{split} split" if split else "not evaluated"] if len(rules) > 1 else []
        words = ", ".join([*about, *([selection_words(selection)] if several and split else [])])
        heading = words[:1].upper() + words[1:]
        found.append(Section(heading, split, selection, positions))
    return found


def section_name(report: Report, number: int) -> str:
    """How a section's epochs were chosen, for a text that speaks of one split; "" where that split has one section."""
    section = report.sections[number]
    same_split = [other for other in report.sections if other.split == section.split]
    return selection_words(section.selection) if len(same_split) > 1 else ""


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
