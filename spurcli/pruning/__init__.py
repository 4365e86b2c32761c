"""Pruning: the paper's rules (`rules`), their quotas (`quotas`) and the samples they choose from (`samples`). No torch."""
