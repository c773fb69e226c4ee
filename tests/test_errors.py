"""An error message is one printable line for any user text."""

from hypothesis import given
from hypothesis import strategies as st

from gatewise import errors
from gatewise.errors import DataError, GatewiseError, InputError, MissingExtra, counted, quote


@given(st.text(st.characters(), max_size=200))
def test_quoted_text_is_short_and_printable(text: str) -> None:
    shown = quote(text)
    assert shown.isprintable()
    assert len(shown) <= 83  # two quotes and the sign for more
    assert shown.encode("utf-8")
    if text.isprintable() and len(text) <= 80:
        assert shown == f"'{text}'"


def test_the_family() -> None:
    raised = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(raised) == 9
    assert all(issubclass(error, GatewiseError) for error in raised if error is not errors.DataWarning)
    assert issubclass(errors.DataWarning, UserWarning)
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingExtra, ImportError)
    message = str(MissingExtra("scipy", "train", "training"))
    assert message == "training needs scipy: pip install 'gatewise[train]'"


def test_a_number_has_its_noun() -> None:
    assert [counted(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [counted(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]


@given(st.text(st.characters(), max_size=2_000))
def test_a_message_is_printable_and_short_whatever_it_quotes(text: str) -> None:
    """Keys of a file and names from a request reach messages: escapes must not reach the terminal."""
    shown = str(GatewiseError(f"config.json: unknown key {text}"))
    assert shown.isprintable()
    assert len(shown) <= 501  # and the sign for more
    assert shown.encode("utf-8")


def test_a_message_is_one_line_of_500_characters() -> None:
    assert str(DataError("reviews.csv:\n  row 3\thas no label")) == "reviews.csv: row 3 has no label"
    assert str(InputError("x" * 100_000)) == "x" * 500 + "…"
    assert str(InputError("a\x1b[31mb \x00")) == "a\N{REPLACEMENT CHARACTER}[31mb \N{REPLACEMENT CHARACTER}"
