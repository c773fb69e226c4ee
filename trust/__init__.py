"""Attacks on what gatewise promises: `python -m trust --help`; `python -m trust --table` prints their results."""
