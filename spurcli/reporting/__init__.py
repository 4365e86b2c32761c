"""The results of the stages, as one page, tables or figures. Never imports torch.

`gather` finds and reads files, `runs` joins them into runs, `arms` joins runs into arms, `content` makes the data that everything
else shows: `page` (HTML), `exports` (md, csv), `figures` (SVG, PDF), `tables` (terminal).
"""
