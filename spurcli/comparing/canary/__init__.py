"""`spurcli canary`: plant faint features with known carriers, and forecast the effect of pruning from them."""
