"""What every refusal of a wrong argument has in common."""

from collections.abc import Callable
from typing import Any

import pytest

from gatewise.errors import InputError

Errors = type[Exception] | tuple[type[Exception], ...]


def assert_refused(
    message: str, call: Callable[..., object], /, *given: Any, error: Errors = InputError, **options: Any
) -> str:
    """The call raises the error, in one printable line in which the pattern is found: that line."""
    with pytest.raises(error, match=message) as caught:
        call(*given, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)
