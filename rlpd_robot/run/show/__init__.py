"""`rlpd-robot demos show`: a store as pictures and one page."""
