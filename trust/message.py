"""The form of an error message."""

from __future__ import annotations

from gatewise.errors import GatewiseError


def bad_message(error: GatewiseError) -> str | None:
    """What is wrong with a message: it must be one printable line of at most 500 characters and an ellipsis."""
    message = str(error)
    if not message or len(message) > 501 or not message.isprintable():
        return f"a message that is not one printable line: {message!a}"
    return None
