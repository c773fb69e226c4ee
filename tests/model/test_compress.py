"""Compression: the report agrees with a separate measurement by task, the folder has the size in the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.explain import METHODS
from gatewise.members.ngrams import Ngrams
from gatewise.model.compress import compress
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.storage.folder import folder_size
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.training.train import train
from tests.members.graphs import B, T, recurrent_classifier, several_inputs
from tests.members.ngram_keys import tokens_of
from tests.refusals import assert_refused
from tests.small_models import small_model
from tests.training.test_weights import made_topics
from tests.training.texts import made_ratings

WORDS = [f"w{n:03}" for n in range(120)]


def texts_of(n: int) -> list[str]:
    """Word w000 most often, w119 least: the weights fall like those of a language."""
    rng = np.random.default_rng(17)
    weights = 1 / np.arange(1, 121)
    return [" ".join(rng.choice(WORDS, 25, p=weights / weights.sum())) for _ in range(n)]


@pytest.fixture(scope="module")
def model() -> Model:
    shape: dict[str, Any] = {"embedding_dim": 16, "units": 12, "bidirectional": True, "pooling": "mean+max"}
    made = small_model(TokenEncoding.fit(texts_of(600), min_count=1), seed=6, **shape)
    logits, bias = made.logits(texts_of(300)), made.parameters["dense.bias"]
    bias = (bias - np.median(logits)).astype(np.float32)  # equally many predictions of each class
    return made.with_lstm(parameters={**made.parameters, "dense.bias": bias})


@pytest.fixture(scope="module")
def data(model: Model) -> Labelled:
    texts, rng = texts_of(300), np.random.default_rng(4)
    labels = [c if rng.random() < 0.8 else "no" for c in model.predict(texts)]
    return Labelled.of(texts, labels, "made up")


def test_the_report_agrees_with_a_separate_measurement(model: Model, data: Labelled, tmp_path: Path) -> None:
    made = compress(model, "int8", 62, data)
    note = made.metadata.compression
    model.save(tmp_path / "whole")
    made.save(tmp_path / "small")
    size = {name: sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("whole", "small")}
    assert (note.bytes_before, note.bytes_after) == (size["whole"], size["small"])
    assert (note.vocab_before, note.vocab_after, note.n) == (model.architecture.vocab_size, 62, 300)
    small = load(tmp_path / "small")
    before, after = model.evaluate(data), small.evaluate(data)
    assert (note.accuracy_before, note.accuracy_after) == (before.accuracy, after.accuracy)
    assert (note.calibration_error_before, note.calibration_error_after) == (
        before.calibration_error,
        after.calibration_error,
    )
    equal = np.mean([a == b for a, b in zip(model.predict(data.inputs), small.predict(data.inputs), strict=True)])
    assert note.agreement == equal
    writable = [one.parameters["dense.bias"].flags.writeable for one in (model, made)]
    assert writable == [True, False], "the parameters of the model itself changed"
    assert 0.5 < equal < 1, "the fixture must change some predictions, or the test proves nothing"
    assert small.metadata == made.metadata
    assert small.metadata.evaluations[-1].accuracy == after.accuracy
    card = (tmp_path / "small" / "README.md").read_text(encoding="utf-8")
    assert f"| bytes | {note.bytes_before:,} before, {note.bytes_after:,} after |" in card
    assert f"| agreement of the predictions | | {equal:.4f} |" in card
    assert f"| vocabulary size | {note.vocab_before:,} before, 62 after |" in card


def test_words_beyond_the_most_frequent_are_unknown(model: Model) -> None:
    made = compress(model, "float32", 32)
    encoding: Any = made.preprocessor.encoding  # type: ignore[attr-defined]
    old: Any = model.preprocessor.encoding  # type: ignore[attr-defined]
    assert encoding.vocab_size == made.architecture.vocab_size == len(made.parameters["embedding.weight"]) == 32
    text = " ".join(WORDS)
    before, after = old.encode(text), encoding.encode(text)
    np.testing.assert_array_equal(after, np.where(before < 32, before, 1))
    assert 0 < (after == 1).sum() < len(after)
    kept = " ".join(word for word, row in zip(WORDS, before, strict=True) if row < 32)
    np.testing.assert_array_equal(made.logits([kept]), model.logits([kept]))


def test_rare_words_share_the_nearest_embedding(model: Model, data: Labelled, tmp_path: Path) -> None:
    made = compress(model, "float16", distinct_embeddings=40)
    before, after = (np.array(one.parameters["embedding.weight"]) for one in (model, made))
    half = before.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(after[:40], half[:40])
    for row in range(40, len(before)):
        distances = ((before[row] - before[2:40].astype(np.float64)) ** 2).sum(axis=1)
        np.testing.assert_array_equal(after[row], half[2 + distances.argmin()])
    assert made.preprocessor is model.preprocessor
    assert "The effect on accuracy was not measured" in made.card()
    note = made.metadata.compression
    assert (note.embeddings_before, note.embeddings_after, note.vocab_after) == (model.architecture.vocab_size, 40, 0)
    made.save(tmp_path / "m")
    assert note.bytes_after == sum(file.stat().st_size for file in (tmp_path / "m").iterdir())
    assert note.bytes_after < folder_size(compress(model, "float16").to_files()) - 2 * 16 * 60
    found = load(tmp_path / "m")
    np.testing.assert_array_equal(found.logits(data.inputs), made.logits(data.inputs))
    assert found.to_files() == made.to_files()
    assert f"| distinct embeddings | {note.embeddings_before:,} before, 40 after |" in made.card()


def test_embeddings_that_are_shared_already_and_all_of_them(model: Model, data: Labelled) -> None:
    same = compress(model, "int8", distinct_embeddings=model.architecture.vocab_size)
    np.testing.assert_array_equal(same.logits(data.inputs), compress(model, "int8").logits(data.inputs))
    once = compress(model, "int8", distinct_embeddings=60)
    report = compress(once, "int8", distinct_embeddings=20).metadata.compression
    assert (report.embeddings_before, report.embeddings_after) == (60, 20)


def test_both_a_smaller_vocabulary_and_shared_embeddings(model: Model) -> None:
    made = compress(model, "int8", 60, distinct_embeddings=20)
    assert len(made.parameters["embedding.weight"]) == 60
    assert len(np.unique(made.parameters["embedding.weight"], axis=0)) == 20
    with pytest.raises(InputError, match="distinct_embeddings must be 4 to 60 for this model, got 61"):
        compress(model, "int8", 60, distinct_embeddings=61)


def test_what_cannot_be_compressed(model: Model) -> None:
    for count in (2, -1, model.architecture.vocab_size + 1):
        assert_refused("distinct_embeddings must be 8 to 122", compress, model, "int8", distinct_embeddings=count)
    for storage in ("float32", {"dense.weight": "float16"}):
        assert_refused("needs embeddings stored as float16 or int8", compress, model, storage, distinct_embeddings=40)
    assert_refused("the data set is empty", compress, model, "int8", None, Labelled.of([], [], "none"))
    keras = small_model(KerasEncoding(keras_index(texts_of(5)), 12), max_length=30, padding="pre")
    assert_refused("vocab_size must be 5 to", compress, keras, "int8", 3)
    with pytest.raises(InputError, match="distinct_embeddings needs a model with a 'tokens' or 'subwords' vocabulary"):
        compress(keras, "int8", distinct_embeddings=5)
    assert compress(keras, "float16").metadata.compression is not None


def test_the_rows_of_words_that_the_tutorial_reads_as_unknown_go_without_an_effect() -> None:
    model = small_model(KerasEncoding(keras_index(texts_of(5)), 12), max_length=30, padding="pre")
    small = compress(model, "float32", 12)
    assert len(small.parameters["embedding.weight"]) == small.architecture.vocab_size == 12
    np.testing.assert_array_equal(small.logits(texts_of(9)), model.logits(texts_of(9)))
    fewer: Any = compress(model, "float32", 9).preprocessor
    assert fewer.encoding.num_words == fewer.encoding.vocab_size == 9


def test_ngrams_go_with_their_words_and_the_heaviest_stay(model: Model) -> None:
    rng = np.random.default_rng(3)
    tokens = np.unique(rng.integers(0, model.architecture.vocab_size, (60, 2)), axis=0)
    keys = np.sort(((tokens[:, 0] + 1) << 21) | (tokens[:, 1] + 1))
    ngrams = Ngrams(2, keys, rng.normal(size=(len(keys), model.architecture.outputs)).astype(np.float32))
    both = Model.of_network(
        model.architecture, model.parameters, model.preprocessor, model.classes, members=[(ngrams, 0.5)]
    )
    small = compress(both, "int8", 52)
    left = [key for key in keys.tolist() if max(tokens_of(key)) < small.architecture.vocab_size]
    assert 0 < len(left) < len(keys)
    assert small.ensemble.get("ngrams").keys.tolist() == left
    assert small.ensemble.weights == both.ensemble.weights
    fewer = compress(both, "float16", max_ngrams=7)
    heaviest = np.sort(np.abs(ngrams.weight).max(axis=1))[-7:]
    np.testing.assert_array_equal(np.sort(np.abs(fewer.ensemble.get("ngrams").weight).max(axis=1)), heaviest)
    assert f"| n-grams | {len(ngrams):,} before, 7 after |" in fewer.card()
    assert_refused("max_ngrams 5: cannot keep", compress, model, "int8", max_ngrams=5)


SMALL: dict[str, Any] = {"units": 8, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "seed": 3, "epochs": 1}


@pytest.mark.parametrize("data", [made_ratings(120, 1), made_topics(120, 2)], ids=lambda data: data.task)
def test_compression_is_measured_by_task(data: Labelled) -> None:
    model = train(data, **SMALL)
    small = compress(model, "int8", data=data, max_ngrams=30)
    report = small.metadata.compression
    assert report.n == 120
    assert small.metadata.evaluations[-1].scores == small.evaluate(data).scores
    if data.task == "regression":
        assert report.rmse_after == pytest.approx(small.evaluate(data).rmse)
        assert report.rmse_after != report.rmse_before
        assert "| RMSE |" in small.card()
    else:
        assert report.accuracy_after == small.evaluate(data).accuracy
        assert 0 < report.agreement <= 1
        assert "| agreement of the predictions | |" in small.card()
    # The n-grams alone tell the made topics; without weight the network has nothing that could be attributed.
    measured = METHODS if model.ensemble.weights[0] else ()
    assert set(model.metadata.faithfulness) == set(measured)


def graph_of_words() -> Model:
    """A GRU with attention, whose graph reads the embeddings of 300 words."""
    words = TokenEncoding.of_words(["", "", *(f"w{number}" for number in range(298))])
    return Model.of_graph(recurrent_classifier(vocab_size=300), TextPreprocessor(words))


def test_the_vocabulary_of_a_graph_is_truncated(tmp_path: Path) -> None:
    model = graph_of_words()
    small = compress(model, "float32", vocab_size=40)
    small.save(tmp_path / "small")
    opened = load(tmp_path / "small")
    texts = ["w3 w17 w37", "w5 w2 w9 w0"]
    np.testing.assert_array_equal(opened.logits(texts), model.logits(texts))
    np.testing.assert_array_equal(opened.logits(["w3 w38"]), model.logits(["w3 unseen"]))
    assert small.metadata.compression is not None
    assert (small.metadata.compression.vocab_before, small.metadata.compression.vocab_after) == (300, 40)


def test_the_embeddings_of_a_graph_are_shared(tmp_path: Path) -> None:
    model = graph_of_words()
    small = compress(model, "int8", distinct_embeddings=50)
    small.save(tmp_path / "small")
    opened = load(tmp_path / "small")
    texts = ["w3 w17 w270", "w5 w2 w9 w0"]
    np.testing.assert_allclose(opened.logits(texts), small.logits(texts), rtol=0, atol=1e-6)
    assert len(np.unique(small.ensemble.network.embedding, axis=0)) <= 50
    assert 0 < np.abs(opened.logits(texts[1:]) - model.logits(texts[1:])).max() < 0.1
    name = small.ensemble.network.embedding_name
    assert opened.ensemble.network.storage[name] == "float16"  # rows of four numbers


def test_the_vocabulary_of_a_graph_with_tied_weights_stays() -> None:
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    table = builder.constant(np.random.default_rng(1).normal(size=(30, 4)))
    pooled = builder.add("ReduceMean", builder.add("Gather", table, ids, axis=0), axes=(1,), keepdims=0)
    tied = builder.add("Einsum", pooled, table, equation="bd,vd->bv")
    words = TokenEncoding.of_words(["", "", *(f"w{number}" for number in range(28))])
    model = Model.of_graph(builder.graph([tied]), TextPreprocessor(words))
    with pytest.raises(InputError, match="also reads the embeddings"):
        compress(model, vocab_size=10)
    several = Model.of_graph(several_inputs())
    for options in ({"vocab_size": 5}, {"distinct_embeddings": 5}):
        with pytest.raises(InputError, match="this model is for rows of arrays"):
            compress(several, **options)
