"""`rlpd-robot dashboard`: the runs of this machine, live, in a browser."""
