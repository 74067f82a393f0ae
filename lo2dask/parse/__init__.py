"""Chunks of bytes become event columns; metric and trace files become tables."""
