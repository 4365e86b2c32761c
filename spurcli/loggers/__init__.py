"""Numbers of each epoch for programs that draw them: one file for each program, none of which spurcli depends on."""
