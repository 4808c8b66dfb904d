"""Teach a real robot a skill from a few demonstrations and live practice (RLPD, arXiv:2302.02948)."""
