"""`python -m spurcli` and the console script."""

from spurcli.cli.app import main

if __name__ == "__main__":
    main()
