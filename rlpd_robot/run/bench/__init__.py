"""What this program claims, measured or proven on the machine at hand: one module a bench."""
