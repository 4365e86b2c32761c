"""Suspects in the terminal: a table, details of the first ones, and the commands to type next."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from spurcli.artifacts.envelope import JsonObject
from spurcli.cli.console import console, say
from spurcli.results import AuditResult
from spurcli.words import amount, measured_on

_MAX_ROWS = 12


def failing_lines(result: AuditResult) -> None:
    """The failing groups, and for each of their columns the command that shows all groups."""
    failing = result["failing_groups"]
    for entry in failing[:_MAX_ROWS]:
        say(entry["statement"])
    if len(failing) > _MAX_ROWS:
        say(f"… {len(failing) - _MAX_ROWS} more failing groups: --json shows all")
    for line in dict.fromkeys(line for entry in failing[:_MAX_ROWS] for line in entry["next"]):
        say(f"  {line}")


def tick_line(result: AuditResult) -> None:
    """What a person can do if no suspect is confirmed, and the samples can be shown."""
    has_sheet = "ticks.html" in result["pages"]
    if not result["num_confirmed"] and not has_sheet and result["kind"] in ("images", "texts"):
        say(
            "No suspect is confirmed. If you see a feature that the model could use, mark its carriers: the same command with "
            "--sheet writes a tick sheet (docs/ticks.md)"
        )


def suspects_table(result: AuditResult) -> None:
    """The suspects in order, then why the unconfirmed ones are not confirmed, then the lines to type for the first."""
    suspects = result["suspects"]
    if not suspects:
        say("No finder found anything to test. Limits of an audit: docs/audit.md")
        return
    about = f"measured on half of {result['held_out']}; harm = effect × carriers"
    table = Table(box=SIMPLE, title_justify="left", title=Text(f"What the model leans on ({about})"))
    table.add_column("", justify="right")
    for name in ("suspect", "class"):
        table.add_column(name)
    for name in ("carriers", "effect", "harm"):
        table.add_column(name, justify="right")
    table.add_column("status")
    for suspect in suspects[:_MAX_ROWS]:
        harm = suspect["expected_harm"]
        table.add_row(
            str(suspect["rank"]),
            Text(suspect["name"]),
            Text(suspect["class"] or "all"),
            _carriers(suspect),
            _effect(suspect),
            "–" if harm is None else f"{harm:,.0f}",
            suspect["status"],
        )
    console().print(table)
    if len(suspects) > _MAX_ROWS:
        say(f"… {len(suspects) - _MAX_ROWS} more: --json shows all")
    for suspect in suspects[:_MAX_ROWS]:
        also = f". The same samples: {', '.join(suspect['also'])}" if suspect.get("also") else ""
        say(f"{suspect['rank']}. {suspect['statement']}{also}")
    _reasons(suspects[:_MAX_ROWS])
    if any(" --suspect " in line for suspect in suspects for line in suspect["next"]):
        say(measured_on(result["held_out"]))
    lines = suspects[0]["next"]
    if lines and suspects[0]["status"] != "not supported":
        say("Next, for the first suspect:")
        for line in lines:
            say(f"  {line}")


def _reasons(suspects: list[JsonObject]) -> None:
    """Why suspects are not confirmed: each reason once, with the ranks that it is about."""
    ranks: dict[tuple[str, str], list[int]] = {}
    for suspect in suspects:
        if suspect["reason"]:
            ranks.setdefault((suspect["status"], suspect["reason"]), []).append(suspect["rank"])
    for (status, reason), about in ranks.items():
        say(f"{status.capitalize()} ({', '.join(map(str, about))}): {reason}")


def _carriers(suspect: JsonObject) -> str:
    rows: list[JsonObject] = suspect["carriers"].get("train") or next(iter(suspect["carriers"].values()), [])
    mine = [row for row in rows if row["class"] == suspect["class"] or suspect["class"] is None]
    known = sum(row["num_known"] for row in mine)
    if not known:  # carriers in other classes alone
        return f"{sum(row['num_carriers'] for row in rows):,.0f}"
    count = sum(row["num_carriers"] for row in mine)
    return f"{count:,.0f} ({count / known:.0%})"


def _effect(suspect: JsonObject) -> str:
    entry = suspect["reliance"]["feature_effect"]
    if entry["value"] is None:
        return f"≥ {amount(entry['at_least'], '')}" if entry.get("at_least") is not None else "undefined"
    return amount(entry["value"], "")
