"""A study of your own as a page: figures and claims described in TOML, results in tidy CSV files, published numbers beside.

The statistics, figures and tables are those of `spurcli.reporting`. docs/studies.md has the formats.
"""
