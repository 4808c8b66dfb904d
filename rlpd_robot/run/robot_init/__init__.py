"""`rlpd-robot robot-init`: a first robot file and first limits, from a robot that runs."""
