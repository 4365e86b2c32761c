"""The command line: one file per command with its help text and its output. Options come from `requests`, the work is in `stages`."""
