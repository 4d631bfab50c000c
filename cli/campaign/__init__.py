"""Runs that are disturbed on purpose, and what has to be true of them afterwards (docs/faults.md)."""
