"""The HTTP server. `Settings` says what to serve and how; `run` serves it until it is told to stop."""

from gatewise.serve.run import run
from gatewise.serve.settings import Settings

__all__ = ["Settings", "run"]
