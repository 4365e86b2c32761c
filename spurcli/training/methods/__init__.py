"""Training methods, one file each. What a method is: `spurcli.training.method.Method`."""
