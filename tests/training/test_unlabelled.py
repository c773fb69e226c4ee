"""Learning from unlabelled texts: LSA, its classifier, the stacked teacher of few labels, and a student."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.target import target_of
from gatewise.training import default_recipe, recipe
from gatewise.training import unlabelled as module
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.ngram_features import NgramFeatures
from gatewise.training.pretrained import Pretrained
from gatewise.training.run_recipe import match_pretrained
from gatewise.training.train import train
from gatewise.training.training_data import TrainingData, prepare
from gatewise.training.unlabelled import LSA, LSA_L2, fit_lsa, lsa_classifier, lsa_of, stacked_predictions
from gatewise.types import Array, Task
from tests.training.callbacks import Recorder, run_of
from tests.training.texts import language_model, made_reviews, review_texts


def texts(n: int, seed: int = 0) -> list[np.ndarray]:
    """Two topics, with words of their own and common ones."""
    rng = np.random.default_rng(seed)
    return [rng.integers(20 * (i % 2), 20 * (i % 2) + 24, rng.integers(5, 30)) for i in range(n)]


def fitted_lsa(sequences: list[np.ndarray], components: int, exclude: Sequence[int] = (), **options: Any) -> LSA:
    """Of the words and word pairs in at least five texts."""
    return fit_lsa(NgramFeatures.of(sequences, 2, 5, exclude), components, **{"seed": 0, **options})


def matrix(sequences: list[np.ndarray], min_df: int = 5, exclude: Sequence[int] = ()) -> np.ndarray:
    """The matrix of the module's docstring, entry by entry."""
    grams = [{tuple(s[i : i + size]) for size in (1, 2) for i in range(len(s) - size + 1)} for s in sequences]
    grams = [{gram for gram in one if not set(gram) & set(exclude)} for one in grams]
    terms = sorted(gram for gram in set().union(*grams) if sum(gram in one for one in grams) >= min_df)
    a = np.array([[float(gram in one) for gram in terms] for one in grams])
    a *= np.log(len(sequences) / a.sum(axis=0)) ** 2
    return np.asarray(a / np.linalg.norm(a, axis=1, keepdims=True))


@pytest.mark.parametrize("exclude", [(), range(8)], ids=["all tokens", "without eight tokens"])
def test_document_vectors_are_those_of_the_truncated_svd(exclude: Sequence[int]) -> None:
    sequences = texts(60)
    z = fitted_lsa(sequences, 6, exclude, denoise=True).document_vectors.astype(np.float64)
    a = matrix(sequences, exclude=exclude)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    deviation = (a @ vt[:7].T).std(axis=0)
    factor = np.maximum(0, 1 - (deviation[6] / deviation[:6]) ** 2)  # the mean text hardly differs
    expected = u[:, :6] * s[:6] * factor
    assert z.shape == expected.shape
    # A direction's sign is free, and of two that are nearly as large any mixture is as good: the space is unique.
    np.testing.assert_allclose(np.linalg.norm(z, axis=0), s[:6] * factor, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(np.abs((z[:, :2] * expected[:, :2]).sum(axis=0)), (s[:6] * factor)[:2] ** 2, rtol=1e-3)
    kept = u[:, :6][:, factor > 0]
    np.testing.assert_allclose(z @ np.linalg.pinv(z, rcond=1e-4), kept @ kept.T, atol=2e-2)


def test_with_as_many_components_as_texts_nothing_is_lost() -> None:
    """The distances of document vectors are those of the rows; directions without variance are 0."""
    sequences = [*texts(30), *texts(30)]
    z = fitted_lsa(sequences, 60).document_vectors.astype(np.float64)
    a = matrix(sequences)
    np.testing.assert_allclose(z @ z.T, a @ a.T, atol=1e-5)
    assert np.linalg.matrix_rank(a) == 30
    assert (np.linalg.norm(z, axis=0) > 0).sum() == 30


def test_reproducible_and_independent_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for threads in ("1", "1", "2"):
        monkeypatch.setenv("GATEWISE_THREADS", threads)
        found.add(fitted_lsa(texts(80), 5, seed=3).document_vectors.tobytes())
    assert len(found) == 1


def test_pieces_of_the_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one text, some of them empty, and sums of three rows."""
    sequences = [np.zeros(0, np.int64), *texts(80), np.zeros(0, np.int64)]
    expected = fitted_lsa(sequences, 5, seed=3)
    monkeypatch.setattr(module, "ENTRIES_PER_PIECE", 7)
    monkeypatch.setattr(module, "ROWS_PER_PIECE", 3)
    monkeypatch.setenv("GATEWISE_THREADS", "2")
    found = fitted_lsa(sequences, 5, seed=3)
    sign = np.sign((found.document_vectors * expected.document_vectors).sum(axis=0))  # of a direction, either is right
    np.testing.assert_allclose(found.document_vectors * sign, expected.document_vectors, atol=1e-5)
    np.testing.assert_allclose(found.components * sign, expected.components, atol=1e-4)
    np.testing.assert_array_equal(found.norms, expected.norms)
    assert not found.document_vectors[[0, -1]].any()


FEW: dict[str, Any] = {"batch_size": 16, "learning_rate": 0.02, "probe_l2": 5.0}
SMALL: dict[str, Any] = {"recipe": "finetune", "epochs": 1, "min_steps": 0, "lsa_components": 6, "seed": 1}
SMALL |= {"batch_size": 16, "learning_rate": 0.02}


def ready(data: Labelled, name: str = "few-shot", **changes: Any) -> TrainingData:
    start = Pretrained.of(language_model())
    chosen = recipe(name, **{**(FEW if name == "few-shot" else {"lsa_components": 6}), **changes})
    return prepare(data, match_pretrained(chosen, start), 0, start.preprocessor)


def encoded(data: TrainingData, texts: Any) -> list[Array]:
    return steps_of(data.preprocessor.encode_batch(texts))


def predictions(data: TrainingData, unlabelled: list[Array], query: Any, recorder: Recorder | None = None) -> Any:
    return stacked_predictions(data, unlabelled, lsa_of(data, unlabelled, run_of()), query, run_of(recorder))


def classifier_of(data: TrainingData, unlabelled: list[Array]) -> Any:
    return lsa_classifier(data, lsa_of(data, unlabelled, run_of()))  # type: ignore[arg-type]


def test_the_lsa_classifier_is_a_logistic_regression_on_document_vectors() -> None:
    """Its logits are those of the regression, with the mean norm in place of each text's own."""
    data = ready(made_reviews(80, 3), "finetune")
    unlabelled = encoded(data, review_texts(300))
    classifier, found = classifier_of(data, unlabelled), lsa_of(data, unlabelled, run_of())
    rows, norms = (array[: len(data.train)] for array in (found.document_vectors, found.norms))
    weight, bias = fit_standardised_glm(rows, data.targets(data.train).unweighted, LSA_L2, shared_scale=True)
    expected = rows * (norms / norms.mean())[:, None] @ weight.T + bias
    np.testing.assert_allclose(classifier.logits(data.full(data.train)), expected, rtol=1e-3, atol=1e-3)
    assert classifier.member.order == 3
    rare = replace(data, full_sequences=[EncodedSequence(np.asarray([n])) for n in range(80)])
    assert lsa_of(rare, [], run_of()) is None, "no n-gram is in ten texts"


def test_it_classifies_texts_that_share_no_decisive_word_with_labelled_ones() -> None:
    """Labelled texts contain some decisive words and the test texts others; only in unlabelled texts they co-occur."""
    rng = np.random.default_rng(0)
    sides, rest = (["dull", "clumsy", "tired", "loud"], ["fine", "lovely", "moving", "bright"]), range(6)

    def text(side: int, first: int, last: int) -> str:
        common = [f"word{n}" for n in rng.choice(rest, 3)]
        return " ".join([*rng.choice(sides[side][first:last], 2, replace=False), *common])

    labels, fresh = rng.integers(0, 2, 60), rng.integers(0, 2, 200)
    reviews = replace(made_reviews(60, 0), inputs=[text(side, 0, 2) for side in labels], labels=labels)
    data = ready(reviews, "finetune", lsa_components=2)
    together = [text(side, 0, 4) for side in rng.integers(0, 2, 600)]
    query = encoded(data, [text(side, 2, 4) for side in fresh])
    logits = classifier_of(data, encoded(data, together)).logits(list(map(EncodedSequence, query)))[:, 0]
    assert ((logits > 0) == fresh).mean() > 0.9


def test_neither_reads_the_validation_set() -> None:
    data = ready(made_reviews(80, 3))
    unlabelled = encoded(data, review_texts(60))
    labels, sequences = data.labels.copy(), list(data.full_sequences)
    labels[data.validation] = 1 - labels[data.validation]
    for n in data.validation:
        sequences[n] = EncodedSequence(np.zeros(1, dtype=np.int64))
    other = replace(data, labels=labels, full_sequences=sequences)
    one, two = (predictions(each, unlabelled, np.arange(60)) for each in (data, other))
    assert one.tobytes() == two.tobytes()
    of_one, of_two = (classifier_of(each, unlabelled).member.weight for each in (data, other))
    assert of_one.tobytes() == of_two.tobytes()


@pytest.mark.parametrize("classes", [("negative", "positive"), ("bad", "good", "odd")])
def test_stacked_predictions(classes: tuple[str, ...]) -> None:
    data, fresh, recorder = ready(made_reviews(90, 3, classes)), made_reviews(400, 41, classes), Recorder()
    unlabelled, query = encoded(data, fresh.inputs), np.arange(400)
    found = predictions(data, unlabelled, query, recorder)
    assert found.shape == (400, len(classes))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == fresh.labels).mean() > (0.85 if len(classes) == 2 else 0.6)
    n = len(data.train)
    assert recorder.messages[0].startswith(f"stacking on {n} labelled of {n + 400} texts: LSA x ")
    assert found.tobytes() == predictions(data, unlabelled, query).tobytes()
    np.testing.assert_allclose(predictions(data, unlabelled, query[::7]), found[::7], atol=1e-6)


def test_equal_texts_are_in_one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose copy is in training would be predicted too well."""
    reviews = made_reviews(30, 3)
    twice = Labelled([*reviews.inputs, *reviews.inputs], np.tile(reviews.labels, 2), target_of(reviews.classes))
    data, calls = ready(twice), []

    def recorded(x: Array, *rest: Any, **options: Any) -> Any:
        calls.append(len(np.unique(x, axis=0)))
        return fit_standardised_glm(x, *rest, **options)

    monkeypatch.setattr(module, "fit_standardised_glm", recorded)
    predictions(data, encoded(data, review_texts(60)), np.arange(1))
    assert len(calls) == 6, "five folds and all rows"
    copies = len(data.train) - calls[-1]
    assert all(count <= calls[-1] - copies // 5 for count in calls[:-1]), "both copies of a text are held out"


def test_few_labels_choose_the_recipe_and_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many unlabelled texts a subsample teaches: the teacher has a document vector of each soft-labelled text."""
    given = [(1_999, True), (2_000, True), (90, False)]
    assert [default_recipe(*case) for case in given] == ["few-shot", "finetune", "fast"]
    assert [default_recipe(rows, True, frozen_rows=5_000) for rows in (4_999, 5_000)] == ["frozen", "finetune"]
    few = [(399, 20, "classification"), (400, 20, "classification"), (50, 19, "classification"), (50, 20, "multilabel")]
    chosen = [default_recipe(rows, False, task=cast(Task, task), classes=classes) for rows, classes, task in few]
    assert chosen == ["many-classes", "fast", "fast", "fast"]
    for limit, some, total in ((150_000, 150, 354), (100, 100, 154)):
        monkeypatch.setattr(module, "MAX_TEXTS", limit)
        monkeypatch.setattr(module, "MAX_SOFT_LABELS", 150)
        recorder = Recorder()
        options: dict[str, Any] = {"unlabelled": review_texts(300), **FEW}
        model = train(made_reviews(60, 3), pretrained=language_model(), callbacks=recorder, **options)
        assert model.metadata.recipe == "few-shot"
        assert any(one.startswith(f"stacking on 54 labelled of {total} texts: LSA x ") for one in recorder.messages)
        assert f"student: learns from the labels and {some} soft labels of the teacher" in recorder.messages
        assert any(", LSA classifier x " in one for one in recorder.messages), "it joins the n-grams too"
        assert sum(model.ensemble.weights) == pytest.approx(1, abs=0.3), "each member alone predicts the soft labels"
    assert model.evaluate(made_reviews(300, 7)).accuracy > 0.8


@pytest.mark.parametrize("missing", ["lsa_components", "ngrams__order", "frequent n-grams"])
def test_without_lsa_a_network_is_the_teacher(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    given: dict[str, Any] = {"pretrained": language_model(), "unlabelled": review_texts(40)}
    if missing == "frequent n-grams":
        monkeypatch.setattr(module, "LSA_MIN_DF", 1_000)
    else:
        given[missing] = 0
    model = train(made_reviews(60, 3), callbacks=recorder, **given, **FEW)
    assert (model.ensemble.get("ngrams") is None) == (missing == "ngrams__order")
    assert any(message.startswith("teacher: a network, for ") for message in recorder.messages)
    assert not any("stacking" in message for message in recorder.messages)


def test_teacher_and_student_both_use_the_lsa_classifier() -> None:
    """Without unlabelled texts, or with lsa_components=0, neither does."""
    classes = ("bad", "good", "odd")
    data, more, recorder = made_reviews(120, 3, classes), review_texts(200, classes=classes), Recorder()
    model = train(data, pretrained=language_model(), unlabelled=more, callbacks=recorder, **SMALL)
    [fitted] = [message for message in recorder.messages if "components of" in message]
    assert fitted.startswith("LSA: 6 components of 308 texts in ")
    assert sum(message.startswith("n-grams x ") for message in recorder.messages) == 2
    assert model.ensemble.get("ngrams") is not None
    assert model.evaluate(made_reviews(300, 7, classes)).accuracy > 0.85
    for without in ({"unlabelled": None, "lsa_components": 200}, {"unlabelled": more, "lsa_components": 0}):
        quiet = Recorder()
        train(data, pretrained=language_model(), callbacks=quiet, **(SMALL | without))
        assert not any("LSA classifier" in message for message in quiet.messages)


def test_a_recipe_without_student_uses_the_lsa_classifier_alone(tmp_path: Path) -> None:
    """The network is as without unlabelled texts; the n-grams differ."""
    data, recorder = made_reviews(120, 3), Recorder()
    how: dict[str, Any] = SMALL | {"pretrained": language_model(), "student_epochs": 0}
    with_lsa = train(data, unlabelled=review_texts(200), callbacks=recorder, out=tmp_path / "m", **how)
    alone = train(data, **how | {"lsa_components": 200})  # as the recipe says
    assert not any("teacher" in message for message in recorder.messages)
    assert "the texts given" in with_lsa.metadata.unlabelled
    assert any("LSA classifier x" in message for message in recorder.messages)
    assert not np.array_equal(with_lsa.ensemble.get("ngrams").weight, alone.ensemble.get("ngrams").weight)
    assert all(array.tobytes() == with_lsa.parameters[name].tobytes() for name, array in alone.parameters.items())
    assert gw.load(tmp_path / "m").logits(data.inputs).tobytes() == with_lsa.logits(data.inputs).tobytes()
