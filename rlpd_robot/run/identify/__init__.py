"""Which parameters of a model a recorded robot has."""
