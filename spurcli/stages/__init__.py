"""One module per stage: it reads files, does its work with the packages below, and writes files."""
