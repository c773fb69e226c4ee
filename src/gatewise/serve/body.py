"""The JSON body of a request. Errors do not repeat what the client sent."""

from __future__ import annotations

from typing import Any

from gatewise.serve.http_error import HTTPError
from gatewise.storage import parse_json


def parse(raw: bytes) -> dict[str, Any]:
    """The object in `raw`. Raises HTTPError 400 "bad_json" for anything but strict JSON and for other JSON values.

    Lone surrogates pass: the preprocessor refuses them with the number of the text and the position in it.
    """
    value = parse_json(raw, "body", error=_bad_json, echo=False, surrogates=True)
    if not isinstance(value, dict):
        raise _bad_json("body: must be a JSON object")
    return value


def text_of(value: object, field: str, most: int = 200) -> str:
    """A string of at most `most` characters. Raises HTTPError 400 naming the field for anything else."""
    if not isinstance(value, str) or len(value) > most:
        raise HTTPError(400, "bad_field", f"{field} must be a string of at most {most} characters", field)
    return value


def _bad_json(message: str) -> HTTPError:
    return HTTPError(400, "bad_json", message)
