"""Reading demonstrations of other formats, one episode at a time."""
