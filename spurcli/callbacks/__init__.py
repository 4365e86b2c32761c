"""Records the dynamics of a training that another program runs: a plain loop, `transformers.Trainer`, Lightning."""
