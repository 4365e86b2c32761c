"""A study in one command: arms × seeds, from scores to the report (`spurcli compare`). Above the requests, below the command line."""
