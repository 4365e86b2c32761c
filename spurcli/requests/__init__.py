"""What a user may ask of each stage, from the command line or from Python, and how it is resolved.

One file a stage: a frozen record whose fields are the options (name, help and default are told once, here), and `run`,
which chooses files, inherited settings and defaults and calls the stage function. The command line and `spurcli.api` are
made from the same records.
"""
