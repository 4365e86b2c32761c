"""`spurcli canary`: plant faint features whose answer is known, and forecast from them what pruning will do."""
