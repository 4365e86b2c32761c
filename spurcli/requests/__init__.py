"""The options of each stage, from the command line or from Python, and how they are resolved.

One file per stage: a frozen record whose fields are the options (name, help and default are defined only here), and `run`,
which chooses files, inherited settings and defaults and calls the stage function. The command line and `spurcli.api` are
made from the same records.
"""
