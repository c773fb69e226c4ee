"""The one door that every text goes through: a str that can be written as UTF-8."""

from __future__ import annotations

from gatewise.errors import InputError

__all__ = ["utf8"]


def utf8(text: str) -> bytes:
    """`text` as UTF-8. InputError for anything but a str, and for a lone surrogate, with its position.

    A lone surrogate is half of a character. It comes from legal JSON ("\\ud800") and from file names; it can be neither
    shown nor saved.
    """
    if not isinstance(text, str):
        raise InputError(f"a text must be a str, not {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise InputError(
            f"the text is not valid Unicode: a lone surrogate U+{half:04X} at character {error.start:,}"
        ) from None
