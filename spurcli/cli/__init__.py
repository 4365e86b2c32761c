"""The command line: one file per command, options and help only. What they do is in the stage packages."""
