"""The data of a run: validation sets that are separate, by groups or by time; warnings, one line each."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import DataWarning, InputError
from gatewise.network.architecture import Architecture
from gatewise.network.batch import describe_truncation
from gatewise.training import data_checks, recipe
from gatewise.training.data_checks import imbalance, one_token
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from tests.refusals import assert_refused
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"units": 6, "embedding_dim": 6, "batch_size": 16, "vocab_size": 80, "epochs": 1, "seed": 4}


def test_validation_data_of_their_own() -> None:
    data, held = made_reviews(150, 1), made_reviews(130, 2)
    model = train(data, validation=held, **SMALL)
    assert (model.metadata.n_train, model.metadata.n_validation) == (150, 130)
    assert model.metadata.validation == "a separate validation set: 130 made reviews"
    assert model.metadata.fingerprint == data.fingerprint()
    assert model.metadata.evaluations[-1].loss == pytest.approx(model.evaluate(held).loss, rel=1e-4)
    assert "a separate validation set" in model.card()
    pair = (held.inputs, [held.classes[k] for k in held.labels])
    again = train(replace(data, time=np.arange(150.0)), validation=pair, **SMALL)
    for name, array in model.parameters.items():
        assert array.tobytes() == again.parameters[name].tobytes(), name


def test_a_run_is_not_resumed_with_other_groups_times_or_class_weights() -> None:
    data = made_reviews(60, 9)
    groups = np.arange(60) // 4
    cases: list[dict[str, Any]] = [{}, {"groups": groups}, {"groups": groups[::-1].copy()}, {"time": np.arange(60.0)}]
    for by in ("group", "row"):
        chosen = recipe("fast", vocab_size=80, validation__split=by)
        found = [prepare(replace(data, **case), chosen, 0) for case in cases]
        assert len({one.identity for one in found}) == len(cases)
        assert {one.fingerprint for one in found} == {data.fingerprint()}  # evaluate reads neither
    assert found[0].identity == data.fingerprint() != prepare(data, chosen, 0, class_weight="balanced").identity


def test_what_only_validation_data_have_is_not_learnt() -> None:
    data = made_reviews(80, 3)
    held = Labelled.of(["unseen words"] * 3 + ["word1 word2"], ["positive", "negative"] * 2)
    found = prepare(data, recipe("fast", vocab_size=5000), 0, validation=held)
    other = prepare(data, recipe("fast", vocab_size=5000), 0, validation=made_reviews(20, 4))
    assert found.preprocessor.to_files() == other.preprocessor.to_files()
    assert found.labels[found.validation].tolist() == [1, 0, 1, 0]
    assert found.train.tolist() == list(range(80))


def test_validation_data_that_do_not_fit_are_refused() -> None:
    data = made_reviews(60, 5)
    for wrong, message in (
        (Labelled.of(["a b"], ["neutral"]), "no class 'neutral'; its classes are 'negative', 'positive'"),
        (Labelled.of(["a b"], [1.5], task="regression"), "text for regression"),
        (Labelled.of([np.zeros(4)], ["negative"]), "series for classification"),
        (["a"], r"\(inputs, labels\)"),
    ):
        assert_refused(message, train, data, validation=wrong, **SMALL)
    assert_refused(
        "has no effect with validation", train, data, validation=data, times=range(60), split="time", **SMALL
    )
    with pytest.raises(InputError, match="60 inputs but 59 times"):
        train(replace(data, sample_weight=np.arange(60.0)), times=range(59), split="time", **SMALL)


def test_groups_and_time() -> None:
    data = made_reviews(120, 7)
    labels = [data.classes[k] for k in data.labels]
    groups = [f"writer {n % 12}" for n in range(120)]
    model = gw.train(data.inputs, labels, groups=groups, **SMALL)
    assert model.metadata.n_validation == 10
    late = gw.train(data.inputs, labels, split="time", times=[f"2024-{n % 12 + 1:02}" for n in range(120)], **SMALL)
    assert late.metadata.n_validation == 10
    assert "the last rows in the order of time" in late.metadata.validation


def test_a_class_of_one_row_is_said() -> None:
    data = made_reviews(90, 8)
    labels = [data.classes[k] for k in data.labels]
    with pytest.warns(DataWarning, match="1 of 3 classes has one row .'odd'., in the training part"):
        model = gw.train([*data.inputs, "one odd text"], [*labels, "odd"], **SMALL)
    assert model.classes == ("negative", "odd", "positive")


TINY: dict[str, Any] = {"units": 3, "epochs": 1, "ngrams__order": 0}


def messages(*arguments: Any, **changes: Any) -> list[str]:
    """The DataWarnings of a training run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        gw.train(*arguments, **TINY | changes)
    return [str(one.message) for one in caught if issubclass(one.category, DataWarning)]


def different_labels(data: Labelled) -> str:
    return data_checks.different_labels(data, np.arange(len(data)))


def test_equal_texts_with_different_labels() -> None:
    texts = ["a b", "c  d", "e f", "C d", "e f", "g", "c d"]  # "c d" thrice, with two labels; "e f" twice, with one
    found = different_labels(Labelled.of(texts, ["x", "x", "y", "y", "y", "x", "x"]))
    assert found == "3 rows are equal texts with different labels, 1 different text; the first are rows 1 and 3"
    several = Labelled.of(["a", "b", "a"], [["x"], ["x"], ["x", "y"]], task="multilabel")
    assert different_labels(several).startswith("2 rows are equal texts with different labels")
    assert different_labels(Labelled.of(["a", "b", "a"], [["x", "y"], ["x"], ["y", "x"]], task="multilabel")) == ""
    series = [np.full((3, 1), value) for value in (1.0, 2.0, 1.0)]
    assert "equal series" in different_labels(Labelled.of(series, ["x", "y", "y"]))
    assert different_labels(Labelled.of(["a", "a"], [0.5, 1.5], task="regression")) == ""


def test_rows_are_numbered_as_given_and_validation_rows_do_not_count() -> None:
    data = made_reviews(200, 3)
    texts, labels, weights = list(data.inputs[:60]), data.labels[:60].copy(), np.ones(60)
    texts[50], labels[50], weights[:30] = texts[40], 1 - labels[40], 0
    assert messages(texts, labels, sample_weight=weights) == [
        "30 rows are few: below 50, accuracy and probabilities are rough estimates",
        "2 rows are equal texts with different labels, 1 different text; the first are rows 40 and 50",
    ]
    (found,) = messages(made_reviews(49, 5), validation=made_reviews(40, 6))
    assert found.startswith("49 rows are few: below 50")
    assert messages(made_reviews(50, 3)) == []
    first, second = (np.flatnonzero(data.labels == label) for label in (0, 1))
    training = data.take(np.concatenate([first[:63], second[:3]]))
    validation = data.take(np.concatenate([first[63:73], second[3:43]]))
    (found,) = messages(training, validation=validation)
    assert "has 3 rows and there are 63 rows of" in found, "the imbalance of the training rows"


@pytest.mark.parametrize(("rare", "warns"), [(1, True), (5, True), (6, False)])
def test_imbalance(rare: int, warns: bool) -> None:
    labels = ["often"] * 100 + ["rare"] * rare + ["other"] * 50
    found = imbalance(Labelled.of([str(n) for n in range(len(labels))], labels))
    if not warns:
        assert found == ""
        return
    rows = f"{rare} row{'s' * (rare > 1)}"
    assert found.startswith(f"class 'rare' has {rows} and there are 100 rows of 'often', 1:{100 / rare:.0f}; ")
    assert "class_weight" in found
    labels = [["x"] if n else ["x", "y"] for n in range(30)]
    found = imbalance(Labelled.of([str(n) for n in range(30)], labels, task="multilabel"))
    assert found.startswith("class 'y' has 1 row and there are 29 rows without it, 1:29; ")


def test_a_script_without_spaces() -> None:
    """Decided by the tokens, so a tokenisation that splits the script warns of nothing."""
    texts = ["\N{CJK UNIFIED IDEOGRAPH-4E00}" * 12, "\N{CJK UNIFIED IDEOGRAPH-4E01}" * 10, "one two three", "short"]
    assert one_token(texts[:3], [1, 1, 3]).startswith("2 of 3 texts are one token although they have 10 char")
    assert one_token(texts, [1, 1, 3, 1]) == ""
    assert one_token(texts, [12, 10, 3, 1]) == ""


def test_tokens_outside_the_vocabulary_of_a_pretrained_model() -> None:
    texts, labels = [f"word other{n} next{n}" for n in range(60)], ["+", "-"] * 30
    start = gw.train([f"word film{n}" for n in range(60)], labels, **TINY)
    given: dict[str, Any] = {"pretrained": start, "recipe": "fast"}
    assert messages(texts, labels, **given) == ["67% of the tokens are not in the vocabulary of the model"]
    assert messages([f"word {text}" for text in texts], labels, **given) == []


def test_rows_in_both_parts() -> None:
    data = made_reviews(60, 6)
    assert messages(data, validation=data.take([50, 3])) == [
        "2 of 2 rows of the validation set are equal to training rows, the first is row 0: scores on this set are "
        "higher than on new data",
        "validation is optimistic: 100% of 2 validation rows have a near-duplicate in the training set; leave them out "
        "of one of the two",
    ]


def test_near_duplicates_on_both_sides_are_counted_on_the_card_and_in_a_warning() -> None:
    """40 texts, each five times with one other word: a split by rows puts copies on both sides."""
    rng = np.random.default_rng(8)
    words = np.array([f"word{n}" for n in range(400)])
    texts, labels, groups = [], [], []
    for text in range(40):
        drawn = rng.choice(words, 12)
        for _ in range(5):
            drawn[int(rng.integers(12))] = rng.choice(words)
            texts.append(" ".join(drawn))
            labels.append("yes" if text % 2 else "no")
            groups.append(text)
    [line] = [one for one in messages(texts, labels) if one.startswith("validation is optimistic")]
    share, advice = line.split(" have a near-duplicate in the training set; ")
    assert advice == "pass groups=..."
    percent = int(share.removeprefix("validation is optimistic: ").split("%")[0])
    assert percent > 60
    model = train(texts, labels, **TINY)
    near = model.metadata.near_duplicates
    assert round(100 * near.share) == percent
    assert (
        f"| near-duplicates | {percent}% of {near.rows} validation rows have one in the training set |" in model.card()
    )
    assert f"Figures of the validation set are optimistic: {percent}% of" in model.card()
    apart = train(texts, labels, groups=groups, **TINY)
    assert apart.metadata.near_duplicates.found == 0
    assert "optimistic" not in apart.card()
    assert not [one for one in messages(texts, labels, groups=groups) if "optimistic" in one]


@pytest.mark.parametrize(
    ("truncation", "inputs", "says"),
    [
        ("front", "channels", "last 400 of up to 2,000 steps in 2 of 4 series"),
        ("front", "tokens", "last 400 of up to 2,000 tokens in 2 of 4 texts"),
        ("middle", "tokens", "first 133 and last 267 of up to 2,000 tokens in 2 of 4 texts"),
    ],
)
def test_what_the_network_reads(truncation: Any, inputs: Any, says: str) -> None:
    arch = Architecture.stacked(
        inputs, 5, 0 if inputs == "channels" else 3, 4, max_length=400, truncation=truncation, padding="none"
    )
    assert describe_truncation([400, 401, 2000, 7], arch) == says
    assert describe_truncation([400, 7], arch) == ""


def test_a_cut_is_one_line_in_training_and_one_per_model_in_prediction() -> None:
    data = made_reviews(60, 3)
    longer = sum(len(str(text).split()) > 20 for text in data.inputs)
    most = max(len(str(text).split()) for text in data.inputs)
    reads = f"the network reads the last 20 of up to {most} tokens in {longer} of 60 texts"
    shape: dict[str, Any] = {"max_length": 20, "truncation": "front"}
    assert messages(data, **shape) == [f"{reads} (recipe fast has max_length 20, 0 has no limit)"]
    (found,) = messages(data, **shape | {"ngrams__order": 2})
    assert found.startswith(f"{reads}; the n-gram model reads all tokens (recipe")
    model = gw.train(data, **TINY | shape | {"ngrams__order": 2})
    with pytest.warns(DataWarning) as caught:
        _ = model.predict(data.inputs), model.predict_proba(data.inputs)
    assert [str(one.message) for one in caught] == [f"{reads}; the n-grams read all"]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        gw.train(data, **TINY, max_length=0).predict(data.inputs)
