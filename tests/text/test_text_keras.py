"""Keras text processing, compared with Keras."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewise.text import KerasEncoding, keras_decode, keras_encode, keras_index, keras_words, pad_sequences
from tests.refusals import assert_refused

FILTERED = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


MARKS = st.sampled_from(f"{FILTERED}'\r\x00\x85\xa0\x0b’–\u2028Éİ\u202e AZaz")


@given(st.text(alphabet=st.one_of(MARKS, st.characters(codec="utf-8")), max_size=80))
@example(f"A{'b'.join(FILTERED)}b")
def test_words_agree_with_the_definition_spelled_out(text: str) -> None:
    plain = "".join(" " if c in FILTERED else chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)
    words = [w for w in plain.split(" ") if w]
    assert keras_words(text) == words
    found = KerasEncoding({"good": 1}).tokenize(text)
    assert found.names == ["<start>", *words]
    assert [plain[start:end] for start, end in found.spans] == ["", *words]


def test_index_ranks_by_count_and_ties_by_first_appearance() -> None:
    index = keras_index(iter(["zebra ant", "Ant! cat zebra", "ant dog"]))
    assert list(index.items()) == [("ant", 1), ("zebra", 2), ("cat", 3), ("dog", 4)]


def test_one_text_instead_of_a_list_is_refused() -> None:
    assert_refused("not one text", keras_index, "a review")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_words": 6},
        {"num_words": 6, "oov_char": None},
        {"num_words": 5, "index_from": 1},
        {"num_words": 1},
        {"num_words": 100, "start_char": None, "index_from": 0},
        {"num_words": 7, "start_char": 4, "oov_char": 9, "index_from": 4},
    ],
)
def test_encode_is_what_load_data_gives(
    keras: ModuleType, monkeypatch: pytest.MonkeyPatch, options: dict[str, int | None]
) -> None:
    index = {"good": 1, "a": 2, "film": 3, "bad": 4, "dull": 5}
    texts = ["A good film: a film!", "dull, dull, BAD film"]
    ranks = [[index[w] for w in keras_words(t)] for t in texts]
    arrays = {"x_train": np.empty(1, object), "x_test": np.empty(1, object), "y_train": [1], "y_test": [0]}
    arrays["x_train"][0], arrays["x_test"][0] = ranks
    arrays["y_train"], arrays["y_test"] = np.array([1]), np.array([0])
    theirs = pytest.importorskip("keras.src.datasets.imdb")
    monkeypatch.setattr(theirs, "get_file", lambda **_: "nowhere")
    monkeypatch.setattr(theirs.npz_utils, "load_npz", lambda _: arrays)

    # Keras's own num_words=None loses the most seldom word (see keras_encode); its default is asked for as a number.
    (train, _), (test, _) = keras.datasets.imdb.load_data(**{"num_words": 10_000, **options})

    names = {"num_words": "num_words", "start_char": "start", "oov_char": "unknown", "index_from": "index_from"}
    ours = [keras_encode(t, index, **{names[k]: v for k, v in options.items()}) for t in texts]  # type: ignore[arg-type]
    assert [list(train[0]), list(test[0])] == [ids.tolist() for ids in ours]


def test_words_that_the_index_lacks_are_unknown() -> None:
    assert keras_encode("good zounds good", {"good": 1}).tolist() == [1, 4, 2, 4]
    assert keras_encode("good zounds good", {"good": 1}, unknown=None).tolist() == [1, 4, 4]
    assert keras_encode("", {"good": 1}).tolist() == [1]


def test_decode_names_the_special_ids_and_refuses_the_rest() -> None:
    assert keras_decode(np.array([0, 1, 2, 3, 4]), {"good": 1}) == "<pad> <start> <unk> <unused> good"
    assert keras_decode([0, 1], {"good": 1}, index_from=0) == "<pad> good"
    assert_refused("id 5 at position 1 is not in the index", keras_decode, [4, 5], {"good": 1})


steps = st.lists(st.integers(-5, 99), max_size=6)


@given(
    st.lists(steps, min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(1, 8)),
    st.sampled_from(["pre", "post"]),
    st.sampled_from(["pre", "post"]),
    st.sampled_from(["int32", "float32", "int64"]),
    st.sampled_from([0, -1, 7]),
)
def test_pad_sequences_is_keras_s(
    keras: ModuleType,
    sequences: list[list[int]],
    maxlen: int | None,
    padding: str,
    truncating: str,
    dtype: str,
    value: int,
) -> None:
    want = keras.utils.pad_sequences(sequences, maxlen, dtype, padding, truncating, value)
    got = pad_sequences(sequences, maxlen, dtype, padding, truncating, value)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


def test_pad_sequences_of_steps_that_are_rows(keras: ModuleType) -> None:
    rng = np.random.default_rng(3)
    sequences = [rng.normal(size=(n, 2)) for n in (3, 0, 5)]
    want = keras.utils.pad_sequences(sequences, maxlen=4, dtype="float32", padding="post", value=-1.5)
    np.testing.assert_array_equal(pad_sequences(sequences, 4, "float32", "post", value=-1.5), want)


def test_pad_sequences_to_nothing() -> None:
    assert pad_sequences([]).shape == (0, 0)
    assert pad_sequences([[1, 2], []], maxlen=0).shape == (2, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": [[1]], "padding": "left"}, "padding must be 'pre' or 'post', not 'left'"),
        ({"sequences": [], "truncating": ""}, "truncating must be 'pre' or 'post', not ''"),
        ({"sequences": [1, 2]}, "sequences must be a list of lists or arrays"),
        ({"sequences": [[1]], "maxlen": -1}, "maxlen must not be negative, got -1"),
        ({"sequences": [[[1, 2]], [3]]}, r"sequence 1: a step has the shape \(\), those before it \(2,\)"),
    ],
)
def test_pad_sequences_refuses(arguments: dict[str, object], message: str) -> None:
    assert_refused(message, pad_sequences, **arguments)
