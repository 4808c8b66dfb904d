"""The dry run: everything that can be wrong before a robot moves, tried on a stand-in that misbehaves."""
