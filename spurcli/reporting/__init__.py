"""The stage `report`: what the other stages left, as one page, tables or figures. Never imports torch.

`gather` finds and reads files, `runs` joins them into runs, `arms` those into arms, `content` makes the data that everything
else shows: `page` (HTML), `exports` (md, csv), `figures` (SVG, PDF), `tables` (terminal).
"""

from spurcli.reporting.stage import report
from spurcli.reporting.tables import terminal_table

__all__ = ["report", "terminal_table"]
