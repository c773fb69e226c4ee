"""The HTTP server and its page: `settings` holds the options, `run` serves until SIGTERM or Ctrl-C."""
