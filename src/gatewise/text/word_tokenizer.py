"""The tokens of a text, in Python.

A text is normalised and then divided by one regular expression. The result is that of the tokenizers library for the
tokenizer.json that `gatewise.text.tokens` writes: a test compares ids and spans. Characters that are newer than the
Unicode version of the running Python (`unicodedata.unidata_version`) may be read as punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter


def _ranges(text: str) -> list[int]:
    """The starts and ends of ranges of code points, "41-5a 61" as 0x41, 0x5b, 0x61, 0x62: see `_within`."""
    bounds = []
    for interval in text.split():
        first, _, last = interval.partition("-")
        bounds.append(int(first, 16))
        bounds.append(int(last or first, 16) + 1)
    return bounds


def _within(code: int, ranges: list[int]) -> bool:
    """Whether a code point is in one of the ranges: an odd number of starts and ends is not above it."""
    return bisect_right(ranges, code) % 2 == 1


# \p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}: the unicodedata module has no scripts.
_UNSPACED = _ranges("""
    e01-e3a e40-e5b e81-e82 e84 e86-e8a e8c-ea3 ea5 ea7-ebd ec0-ec4 ec6 ec8-ece ed0-ed9 edc-edf 1000-109f 1780-17dd
    17e0-17e9 17f0-17f9 19e0-19ff 2e80-2e99 2e9b-2ef3 2f00-2fd5 3005 3007 3021-3029 3038-303b 3041-3096 309d-309f
    30a1-30fa 30fc-30ff 31f0-31ff 32d0-32fe 3300-3357 3400-4dbf 4e00-9fff a9e0-a9fe aa60-aa7f f900-fa6d fa70-fad9
    ff66-ff6f ff71-ff9d 116d0-116e3 16fe2-16fe3 16ff0-16ff1 1aff0-1aff3 1aff5-1affb 1affd-1affe 1b000-1b122 1b132
    1b150-1b152 1b155 1b164-1b167 1f200 20000-2a6df 2a700-2b739 2b740-2b81d 2b820-2cea1 2ceb0-2ebe0 2ebf0-2ee5d
    2f800-2fa1d 30000-3134a 31350-323af
""")
# Ideographs that BertNormalizer puts between spaces.
_IDEOGRAPHS = _ranges("3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b73f 2b740-2b81f 2b920-2ceaf 2f800-2fa1f")
# The library has its own tables: it composes as Unicode 9 does, in which these marks and a letter were not assigned,
# and it removes the format characters of Unicode 8 alone.
_AFTER_UNICODE_9 = _ranges("""
    7fd 898-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1ace 1df6-1dfa a82c 10d24-10d27 10eab-10eac 10efd-10eff
    10f46-10f50 10f82-10f85 11070 1133b 1145e 11839-1183a 11938 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42
    11d44-11d45 11d97 11f41-11f42 16ff0-16ff1 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef
""")
_KEPT_FORMATS = _ranges("890-891 8e2 110cd 13430-1343f")

_MOST_KEPT = 20_000  # entries of a table
_BREAK = re.compile(r"<[bB][rR][\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*/?>")
# Finds tokens in an ASCII text in lower case, and in a text whose characters are replaced by their classes: a for a
# letter, m for a mark, 0 for a number or _; A, M and N for the same in scripts without spaces, and X for their other
# characters. Punctuation stands for itself.
_TOKEN = re.compile(r"[a-z0-9_]{1,100}(?:'[a-zAM]{1,20}){0,3}|([^\w ])\1{0,99}|[AMNX][mM]{0,8}", re.ASCII)


class _PerCharacter(dict[int, str]):
    """A table of `str.translate` whose entries are computed when a text first needs them."""

    def __init__(self, of: Callable[[str], str]) -> None:
        self._of = of

    def __missing__(self, code: int) -> str:
        entry = self._of(chr(code))
        if len(self) < _MOST_KEPT:  # a hostile text has a million different characters
            self[code] = entry
        return entry


def _normal(character: str) -> str:
    """The text by which the normaliser replaces a composed character: it drops control characters, puts an ideograph
    between spaces, and makes letters lower case.
    """
    code = ord(character)
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    is_format = category == "Cf" and not _within(code, _KEPT_FORMATS)
    if category in ("Cc", "Co") or is_format or character == "\ufffd":
        return ""
    if character == "’":
        return "'"
    if _within(code, _IDEOGRAPHS):
        return f" {character} "
    return character.lower()


def _kind(character: str) -> str:
    """The class of a character in pipeline 2 and later ones."""
    plain = _plain_kind(character)
    if not _within(ord(character), _UNSPACED):
        return plain
    return {"a": "A", "m": "M", "0": "N"}.get(plain, "X")


def _plain_kind(character: str) -> str:
    """The class of a character in pipeline 1, where scripts make no difference."""
    if character == "_":
        return "0"
    return {"L": "a", "M": "m", "N": "0"}.get(unicodedata.category(character)[0], character)


_NORMAL = _PerCharacter(_normal)
_SCRIPT_KINDS = _PerCharacter(_kind)
_KINDS = {1: _PerCharacter(_plain_kind), 2: _SCRIPT_KINDS, 3: _SCRIPT_KINDS}  # by pipeline


def _composed(text: str) -> tuple[str, Sequence[int]]:
    """The text in NFC, and the place in `text` of each of its characters. The place of a composed character is that of
    its first letter or mark, as in the library.
    """
    if unicodedata.is_normalized("NFC", text):
        return text, range(len(text))
    # The composed characters, each with the number of characters of the text that it stands for.
    composed: list[tuple[str, int]] = []
    base = -1  # the place in `composed` of the character that marks are joined to
    last_class = -1  # the combining class of the mark before
    for character, combining_class, count in _decomposed(text):
        if base >= 0 and last_class < combining_class:
            joined = _joined(composed[base][0], character)
            if joined:
                composed[base] = (joined, composed[base][1] + count)
                continue
        composed.append((character, count))
        if combining_class == 0:
            base = len(composed) - 1
            last_class = -1
        elif base >= 0:
            last_class = combining_class
    places: list[int] = []
    place = 0
    for _, count in composed:
        if count == 0:  # a part of the character before, which has no single character
            places.append(max(place - 1, 0))
        else:
            places.append(place)
        place += count
    return "".join(character for character, _ in composed), places


def _decomposed(text: str) -> list[tuple[str, int, int]]:
    """The characters of the text in NFD, in canonical order, each with its combining class. The last number is 1 for
    the first part of a character of the text and 0 for its other parts.
    """
    characters: list[tuple[int, str, int, int]] = []  # the number of the run of marks in front
    run = 0
    for character in text:
        # The library does not decompose characters that its tables do not have.
        is_newer = _within(ord(character), _AFTER_UNICODE_9)
        decomposed = character if is_newer else unicodedata.normalize("NFD", character)
        for n, part in enumerate(decomposed):
            combining_class = 0 if is_newer else unicodedata.combining(part)
            if combining_class == 0:
                run += 1
            characters.append((run, part, combining_class, int(n == 0)))
    characters.sort(key=itemgetter(0, 2))  # within a run, marks in the order of their class
    return [(part, combining_class, count) for _, part, combining_class, count in characters]


@lru_cache(4096)
def _joined(first: str, second: str) -> str:
    """The character that two characters compose, or ""."""
    composed = unicodedata.normalize("NFC", first + second)
    if len(composed) > 1 or _within(ord(composed), _AFTER_UNICODE_9):
        return ""
    return composed


def normalized(text: str) -> str:
    """The text as its tokens are spelled: composed, in lower case, without control characters and <br />."""
    composed, _ = _composed(_BREAK.sub(" ", text))
    return composed.translate(_NORMAL)


def tokens_of(text: str, pipeline: int) -> list[str]:
    """The tokens of a text, as they are spelled in the vocabulary. pipeline: see `gatewise.text.tokens`."""
    normal = normalized(text)
    if normal.isascii():
        return [match[0] for match in _TOKEN.finditer(normal)]
    kinds = normal.translate(_KINDS[pipeline])
    return [normal[match.start() : match.end()] for match in _TOKEN.finditer(kinds)]


def spans_of(text: str, pipeline: int) -> list[tuple[int, int]]:
    """Start and end of each token of `tokens_of`, in code points of the text. The marks that NFC joins to the last
    letter of a token are outside of its span.
    """
    spaced = _BREAK.sub(lambda match: " " * len(match[0]), text)
    composed, places = _composed(spaced)
    normal = composed.translate(_NORMAL)
    if not composed.isascii() or len(normal) != len(composed):  # a character becomes none, one or several
        lengths = (len(_NORMAL[ord(character)]) for character in composed)
        places = [place for place, length in zip(places, lengths, strict=True) for _ in range(length)]
    kinds = normal
    if not normal.isascii():
        kinds = normal.translate(_KINDS[pipeline])
    return [(places[match.start()], places[match.end() - 1] + 1) for match in _TOKEN.finditer(kinds)]
