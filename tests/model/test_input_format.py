"""How clients write texts and series: what is read, what is refused, and at which place of a tensor."""

from typing import Any

import numpy as np
import pytest

from gatewise.model.input_format import InputFormat, SeriesFormat, TensorError, TextFormat, TokenIdFormat
from tests.refusals import assert_refused

FORMATS: list[InputFormat] = [TextFormat(), TokenIdFormat(3), SeriesFormat(1), SeriesFormat(3)]


@pytest.mark.parametrize("inputs", FORMATS, ids=str)
def test_the_example_is_an_input_as_json_and_as_a_tensor(inputs: InputFormat) -> None:
    from_json = inputs.read(inputs.example)
    assert len(inputs.shape) == len(inputs.example_shape)
    sizes = zip(inputs.shape, inputs.example_shape, strict=True)
    assert all(size in (-1, of_example) for size, of_example in sizes)
    [from_tensor] = inputs.read_tensor(inputs.example_shape, [inputs.example])
    np.testing.assert_array_equal(from_json, from_tensor)
    assert len(inputs.example_steps) > 1


def test_a_series_is_read_with_its_missing_values() -> None:
    found = SeriesFormat(2).read([[1.5, None], [-3.25, 7]])
    np.testing.assert_array_equal(found, [[1.5, np.nan], [-3.25, 7]])
    assert SeriesFormat(1).read([4, None, 2.5]).shape == (3, 1)


@pytest.mark.parametrize(
    "item", ["text", [[1.0, 2], [3]], [[1.0]], [1.0, 2], [[1.0, 2, 3]], [["a", "b"]], [{}], None, [[10**400, 1]]]
)
def test_another_series_is_refused(item: Any) -> None:
    wanted = "must be a list of time steps, each a list of 2 numbers(, not of [13])?; null is a missing one"
    assert_refused(f"^{wanted}$", SeriesFormat(2).read, item)


def test_the_message_names_the_channels_of_a_series_of_others() -> None:
    assert_refused("each a list of 2 numbers, not of 3; null", SeriesFormat(2).read, [[1, 2, 3], [4, 5, 6]])
    assert_refused("each a list of 1 number or one number, not of 3; null", SeriesFormat(1).read, [[1, 2, 3]])


@pytest.mark.parametrize("item", [["text"], 3, None, [[1.0]]])
def test_another_text_is_refused(item: Any) -> None:
    assert_refused("^must be a string: the model reads texts$", TextFormat().read, item)


def test_token_ids_are_a_list_or_a_string() -> None:
    inputs = TokenIdFormat(50)
    assert inputs.read([3.0, 17.0, 49.0]) == inputs.read("3 17 49") == "3 17 49"
    for wrong in ([3.5], ["3"], [None], [[3.0]], None):
        assert_refused("^must be token ids below 50: a list, or a string with spaces$", inputs.read, wrong)


def _bytes_of(texts: list[str]) -> bytes:
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)


def test_tensors_in_bytes_are_those_in_lists() -> None:
    texts = ["naïve", "", "a b"]
    assert TextFormat().read_tensor([3], _bytes_of(texts)) == TextFormat().read_tensor([3, 1], texts) == texts
    values = np.random.default_rng(5).normal(size=(2, 4, 3)).astype(np.float32)
    for given in (values.tobytes(), values.tolist(), values.ravel().tolist()):
        np.testing.assert_array_equal(SeriesFormat(3).read_tensor([2, 4, 3], given), values)


@pytest.mark.parametrize(
    ("inputs", "shape", "values", "place", "message"),
    [
        (TextFormat(), [2], ["a"], "shape", "the number of values does not fit the shape"),
        (TextFormat(), [1, 2], ["a", "b"], "shape", "must be .n. or .n, 1."),
        (TextFormat(), [2], ["a", 3], "data", "must be strings"),
        (TextFormat(), [1], b"\x09\0\0\0ab", "data", "the bytes end within an element"),
        (TextFormat(), [2], _bytes_of(["a"]) + b"\1\0\0\0\xff", r"data[1]", "not UTF-8"),
        (SeriesFormat(3), [1, 2, 2], [1.0] * 4, "shape", "must be .n, steps, 3."),
        (SeriesFormat(3), [0, 2, 3], [], "shape", "must be .n, steps, 3."),
        (SeriesFormat(2), [1, 2, 2], [[1.0, 2], [3]], "data", "must be numbers"),
        (SeriesFormat(2), [1, 2, 2], ["1", "2", "3", "4"], "data", "must be numbers"),
        (SeriesFormat(2), [1, 2, 2], b"\0" * 15, "data", "must be numbers"),
        (SeriesFormat(2), [2, 1, 2], [[[1.0, 2], [3, 4]]], "data", "nested in another way"),
    ],
)
def test_the_place_of_a_wrong_tensor_is_named(
    inputs: InputFormat, shape: list[int], values: Any, place: str, message: str
) -> None:
    with pytest.raises(TensorError, match=message) as caught:
        inputs.read_tensor(shape, values)
    assert caught.value.place == place
