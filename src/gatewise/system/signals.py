"""The signals that ask a program to end. This module is imported before the program has handlers, so it is small."""

import signal

STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""SIGHUP: the terminal was closed. Windows: has no SIGHUP."""
