"""The HTTP server and its page. `Settings` holds the options; `run` serves until SIGTERM or Ctrl-C."""

from gatewise.serve.run import run
from gatewise.serve.settings import Settings

__all__ = ["Settings", "run"]
