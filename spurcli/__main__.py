"""`python -m spurcli` and the console script."""

from spurcli.cli.run import main

if __name__ == "__main__":
    main()
