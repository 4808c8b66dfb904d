"""Writing stores in other formats, one episode at a time."""
