"""An answer that is not the one that was asked for: a status, a reason, and never a word of what was sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["HTTPError", "unquoted"]


@dataclass(eq=False)  # not frozen: Python hangs the traceback on it
class HTTPError(Exception):
    """An HTTP error. `say` is one line for a person, `code` one word for a program, `field` the path of what is wrong
    in the request's JSON; `headers` go out with it.
    """

    status: int
    code: str
    say: str
    field: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, path: str) -> bytes:
        """The JSON of the answer: as the Open Inference Protocol has it below /v2, ours elsewhere."""
        if path.startswith("/v2"):
            return json.dumps({"error": self.say}).encode()
        return json.dumps({"error": {"code": self.code, "field": self.field, "say": self.say}}).encode()


def unquoted(error: Exception) -> str:
    """An error's message without what it quotes: on a terminal that helps, in an answer it would repeat what was
    sent.
    """
    return re.sub("'.*'", "'…'", str(error), flags=re.DOTALL)
