"""A study of your own as a page: figures and claims described in TOML, results in tidy CSV files, with published numbers.

The statistics, figures and tables are those of `spurcli.reporting`. docs/studies.md has the formats.
"""
