"""Attacks on the real command line: ``scripts/slow attack``."""
