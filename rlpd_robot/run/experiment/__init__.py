"""Studies: rows of settings × seeds, learned in lock-step in one process each, compared in one figure and one table."""
