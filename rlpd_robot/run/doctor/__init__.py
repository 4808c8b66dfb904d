"""`rlpd-robot doctor`: is this robot fit to learn on? Checks in their own modules, the wiring in `doctor.py`."""
