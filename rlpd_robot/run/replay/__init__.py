"""`rlpd-robot demos replay`: a stored episode on a robot once more, and how far from the recording that leads."""
