"""How a forecast is shown: the canaries, a row for each fraction, and the verdict in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from spurcli.artifacts.envelope import JsonObject
from spurcli.comparing.canary.words import CANARY_COLUMNS, FRACTION_COLUMNS, canary_rows, fraction_rows, sentences


def show_forecast(found: JsonObject) -> None:
    from spurcli.cli.console import console, say

    console().print(_table(CANARY_COLUMNS, canary_rows(found)))
    if found["fractions"]:
        console().print(_table(FRACTION_COLUMNS, fraction_rows(found)))
    for sentence in sentences(found):
        say(sentence)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
