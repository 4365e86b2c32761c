"""From a suspect of an audit to a verdict: the same recipe with and without its carriers, and what that changes (`spurcli cut`)."""
