"""Attacks on what gatewise promises: `python -m trust --help`; docs/trust.md has the table of their results."""
