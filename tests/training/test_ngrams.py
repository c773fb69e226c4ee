"""The n-gram model: the optimum of its fit, weights and scales, the best candidate, words or subwords."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model.compress import compress
from gatewise.ragged import joined
from gatewise.text import SubwordEncoding, TokenEncoding
from gatewise.training import ngram_comparison, recipe, sparse_solver
from gatewise.training.members.ngrams import added, fit
from gatewise.training.ngram_features import NgramFeatures
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData, prepare
from tests.members.ngram_keys import tokens_of
from tests.training.callbacks import Recorder, run_of
from tests.training.targets import targets_of
from tests.training.texts import made_reviews

ROWS = 30


def made(n: int, classes: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """n sequences of 0 to 30 tokens; each class has frequent tokens of its own, and one pair in a fixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    sequences = []
    for label in labels:
        tokens = rng.integers(2, ROWS, int(rng.integers(0, 30)))
        liked = np.array([5 + label, 9, 4 - label % 2])
        sequences.append(np.concatenate([tokens, liked, tokens[:3]]).astype(np.int32))
    labels = np.where(rng.random(n) < 0.15, rng.integers(0, classes, n), labels)
    return sequences, labels


def encoded(sequences: list[np.ndarray]) -> list[EncodedSequence]:
    return list(map(EncodedSequence, sequences))


def fit_ngrams(
    sequences: list[np.ndarray],
    labels: np.ndarray,
    classes: int,
    min_df: int = 2,
    exclude: Any = (),
    weight: np.ndarray | None = None,
    **options: Any,
) -> FittedMember:
    """labels: classes (n,), or targets (n, outputs)."""
    targets = np.eye(classes)[labels][:, 1 if classes == 2 else 0 :] if labels.ndim == 1 else labels
    return NgramFeatures.of(sequences, 3, min_df, exclude).fit(targets_of(targets, weight=weight), **options)


def features(sequences: list[np.ndarray], minimum: int, without: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Keys and presence (n, K), by sets in plain Python."""
    sets = [{int(k) for keys, _ in keys_of(*joined([s]), 3) for k in keys} for s in sequences]
    counts: dict[int, int] = {}
    for one in sets:
        for key in one:
            counts[key] = counts.get(key, 0) + 1
    keys = sorted(k for k, c in counts.items() if c >= minimum and not set(tokens_of(k)) & set(without))
    return np.array(keys), np.array([[key in one for key in keys] for one in sets], dtype=float)


def ratio(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The log-count ratio (K,) of presence x (n, K), class probability y (n,)."""
    p, q = 1 + (counts * y) @ x, 1 + (counts * (1 - y)) @ x
    return np.log(p / p.sum()) - np.log(q / q.sum())


@pytest.mark.parametrize("case", ["labels", "weights", "soft labels", "three classes"])
def test_each_output_against_scikit_learn(case: str) -> None:
    """A text that is class 1 with probability p is p of a text of class 1 and 1 - p of one of class 0."""
    linear = pytest.importorskip("sklearn.linear_model")
    classes = 3 if case == "three classes" else 2
    (sequences, labels), rng = made(300, classes, 1), np.random.default_rng(3)
    weight = rng.uniform(0, 2, 300) if case == "weights" else np.ones(300)
    targets = np.eye(classes)[labels][:, 1 if classes == 2 else 0 :]
    targets = rng.random((300, 1)) if case == "soft labels" else targets
    options = {"weight": weight, "l2": 0.7, "tol": 1e-9, "max_iter": 2000}
    fitted = fit_ngrams(sequences, targets, classes, min_df=3, exclude=(3,), **options)
    keys, x = features(sequences, 3, (3,))
    np.testing.assert_array_equal(fitted.member.keys, keys)
    logits, close = fitted.logits(encoded(sequences)), {"atol": 1e-3, "rtol": 1e-3}
    for k, p in enumerate(targets.T):
        r = ratio(x, p, weight)
        twice, copies = np.concatenate([x * r] * 2), np.concatenate([weight * p, weight * (1 - p)])
        theirs = linear.LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=10_000)
        theirs.fit(twice, np.repeat([1, 0], 300), copies)
        np.testing.assert_allclose(fitted.member.weight[:, k], theirs.coef_[0] * r, **close)
        np.testing.assert_allclose(fitted.bias[k], theirs.intercept_[0], **close)
        np.testing.assert_allclose(logits[:, k], theirs.decision_function(x * r), **close)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("extension", [True, False])
def test_tfidf_against_linear_svc(classes: int, extension: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machines of unit rows equal scikit-learn's, by dual coordinate descent and by Newton's method."""
    svm = pytest.importorskip("sklearn.svm")
    monkeypatch.setattr(sparse_solver, "PASS_TOLERANCE", 1e-6)
    monkeypatch.setattr(sparse_solver, "MAX_PASSES", 3000)
    if not extension:
        monkeypatch.setattr(sparse_solver, "_machines", lambda *given: None)
    sequences, labels = made(120, classes, 11)
    fitted = fit_ngrams(sequences, labels, classes, scaling="tfidf", tol=1e-6)
    keys, x = features(sequences, 2)
    counts = [
        np.unique(np.concatenate([k for k, _ in keys_of(*joined([s]), 3)]), return_counts=True) for s in sequences
    ]
    tf = np.array([[1 + np.log(dict(zip(*c, strict=True)).get(k, 1)) for k in keys] for c in counts])
    columns = [labels == k for k in range(classes)][-1 if classes == 2 else 0 :]
    ratios = np.max([np.abs(ratio(x, y.astype(float), np.ones(120))) for y in columns], axis=0)
    scaled = x * tf * ratios * (1 + np.log(121 / (1 + x.sum(axis=0))))
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
    for k, y in enumerate(columns):
        theirs = svm.LinearSVC(tol=1e-8, max_iter=100_000).fit(scaled, y)
        np.testing.assert_allclose(fitted.logits(encoded(sequences))[:, k], theirs.decision_function(scaled), atol=2e-3)
    found = NgramFeatures.of(sequences, 3, 2)
    np.testing.assert_allclose(found.logits(fitted, np.arange(120)), fitted.logits(encoded(sequences)), atol=1e-5)


def prepared(fields: dict[str, Any] | None = None, rare: bool = False, class_weight: Any = None) -> TrainingData:
    """240 reviews; rare: a fifth of those of class 1."""
    reviews = made_reviews(240, 61)
    rows = np.flatnonzero((reviews.labels == 0) | (np.arange(240) % 5 == 0) | (not rare))
    chosen = recipe("fast", vocab_size=90, units=4, embedding_dim=4, **(fields or {}))
    return prepare(reviews.take(rows), chosen, 1, class_weight=class_weight)


def fitted_to(data: TrainingData) -> tuple[FittedMember, list[str]]:
    """The fitted n-grams and the messages of the fit."""
    recorder = Recorder()
    found = fit(data, run_of(recorder, 1))
    return found, recorder.messages


def loss(data: TrainingData, rows: np.ndarray, logits: np.ndarray | None) -> float:
    return float(np.log1p(np.exp(-np.where(data.labels[rows] == 1, 1, -1) * logits[:, 0])).mean())


@pytest.mark.parametrize("few_rows", [0, 2_000])
def test_the_best_candidate_is_fitted_on_all_rows_and_held_out_logits_are_not_its(
    few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both for one validation set and for cross-validation."""
    monkeypatch.setattr(ngram_comparison, "FEW_ROWS", few_rows)
    data = prepared()
    found, (message,) = fitted_to(data)
    rows = data.validation
    assert found.held_out.shape == (len(rows), 1)
    assert loss(data, rows, found.logits(data.full(rows))) < loss(data, rows, found.held_out)
    assert (found.held_out_train is None) == (few_rows == 0)
    listed = message.removeprefix("n-grams, held-out loss of ").split("; ")[:-1]
    losses = {name: float(loss) for name, loss in (one.rsplit(": ", 1) for one in listed)}
    assert set(losses) == {"nb, 1- to 3-grams", "tfidf, 1-grams", "tfidf, 1- to 2-grams"}
    assert (found.member.scale is not None) == min(losses, key=losses.__getitem__).startswith("tfidf")
    only, _ = fitted_to(prepared({"ngrams__scaling": "tfidf"}))
    assert only.member.scale is not None


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_rare_class_with_class_weights_is_cross_validated(
    class_weight: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are held out once, and 1- to 2-grams alone are tried with the scaling of a support vector machine."""
    monkeypatch.setattr(ngram_comparison, "FEW_ROWS", 0)
    data = prepared(rare=True, class_weight=class_weight)
    found, (message,) = fitted_to(data)
    assert ("; tfidf, 1-grams: " in message) == (class_weight is None)
    assert "; tfidf, 1- to 2-grams: " in message
    if class_weight is None:
        assert found.held_out_train is None
    else:
        fitted = found.logits(data.full(data.train))
        assert loss(data, data.train, fitted) < loss(data, data.train, found.held_out_train)


def test_the_support_vector_machine_of_a_rare_class_is_fitted_without_class_weights() -> None:
    one, two = (
        fitted_to(prepared({"ngrams__scaling": "tfidf"}, rare=True, class_weight=weight))[0]
        for weight in ("balanced", {made_reviews(2, 61).classes[1]: 40.0})
    )
    np.testing.assert_array_equal(one.member.weight, two.member.weight)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_two_models_are_added_by_their_held_out_loss() -> None:
    """The sum of an informative and an uninformative model is close to the first."""
    data, recorder = prepared(), Recorder()
    sequences = encoded([np.asarray([label, 2 + n % 2]) for n, label in enumerate(data.labels)])
    data = replace(data, full_sequences=sequences)
    right, wrong = (
        Ngrams(1, np.arange(first, first + 2), np.array([[-2.0], [2.0]], dtype=np.float32)) for first in (1, 3)
    )
    both = FittedMember(wrong, np.array([0.5])), FittedMember(right, np.zeros(1))
    found = added(data, *both, "LSA classifier", run_of(recorder, 1))
    assert recorder.messages[0].startswith("n-grams x ")
    assert found.member.keys.tolist() == [1, 2, 3, 4]
    informative, noise = found.member.weight[:2, 0], found.member.weight[2:, 0]
    assert informative[1] - informative[0] > 2 * abs(noise[1] - noise[0])
    assert ((found.logits(sequences)[:, 0] > 0) == data.labels).all()


TINY: dict[str, Any] = {"units": 4, "embedding_dim": 4, "epochs": 1, "verbose": 0, "seed": 3}


def inflected(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Words of a random stem, each seldom seen twice, whose ending tells the class."""
    rng = random.Random(seed)
    labels = [rng.choice(["now", "then"]) for _ in range(n)]
    endings = {"now": ("ing", "izz", "ou"), "then": ("edd", "essa", "ou")}

    def word(label: str) -> str:
        return "".join(rng.choice(("ka", "lo", "mi", "tu", "re")) for _ in range(4)) + rng.choice(endings[label])

    return [" ".join(word(label) for _ in range(3)) for label in labels], labels


def whole_words(n: int, seed: int) -> Labelled:
    """A dozen frequent words: their pieces are the words themselves."""
    rng = random.Random(seed)
    labels = [rng.choice("ab") for _ in range(n)]
    words = {"a": ("glad", "kind", "warm"), "b": ("grim", "cold", "dull")}
    texts = [
        f"a {rng.choice(words[label])} {rng.choice(('day', 'kind', 'cold'))} {k % 7}" for k, label in enumerate(labels)
    ]
    return Labelled.of(texts, labels)


def encoding_of(model: gw.Model) -> Any:
    return model.preprocessor.encoding  # type: ignore[attr-defined]


def test_endings_choose_subwords_and_the_model_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_comparison, "LEAST_ROWS", 200)
    texts, labels = inflected(240, 5)
    recorder = Recorder()
    model = gw.train(texts, labels, recipe="fast", callbacks=recorder, **TINY)
    assert isinstance(encoding_of(model), SubwordEncoding)
    [chosen] = [message for message in recorder.messages if message.startswith("tokens:")]
    assert chosen.startswith("tokens: subwords,")
    assert model.ensemble.get("ngrams").spelling is not None
    query, truth = inflected(80, 6)
    assert np.mean(model.predict(query) == np.array(truth)) > 0.85
    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(query), model.predict_proba(query))
    explanation = again.explain(query[0], method="prefix-difference")
    assert explanation.adds_up
    assert explanation.residual == pytest.approx(0, abs=1e-5)
    small = compress(again, "float16", encoding_of(again).vocab_size - 20, max_ngrams=200)
    assert np.mean(small.predict(query) == np.array(truth)) > 0.85
    found = encoding_of(again).tokenize(query[0])
    assert len(found.names) > 3
    assert found.names == [query[0][start:end] for start, end in found.spans]


def test_whole_words_stay_words_and_the_candidates_are_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_comparison, "LEAST_ROWS", 200)
    data, recorder = whole_words(240, 7), Recorder()
    gw.train(data, recipe="fast", callbacks=recorder, **TINY)
    assert "tokens: words, 0% of those in the validation set are unknown" in recorder.messages
    monkeypatch.setattr(ngram_comparison, "LEAST_UNKNOWN", 0.0)
    model = gw.train(data, recipe="fast", callbacks=recorder, **TINY)
    assert type(encoding_of(model)) is TokenEncoding
    assert any(message.startswith("tokens: words, held-out loss ") for message in recorder.messages)
    plain = gw.train(data, recipe="fast", tokenization="words", **TINY)
    texts = list(data.inputs[:20])
    np.testing.assert_array_equal(plain.predict_proba(texts), model.predict_proba(texts))
    for name, limit in (("LEAST_ROWS", 241), ("MOST_WORDS", 500)):
        with monkeypatch.context() as patch:
            patch.setattr(ngram_comparison, name, limit)
            recorder = Recorder()
            gw.train(data, recipe="fast", callbacks=recorder, **TINY)
            assert not any(message.startswith("tokens:") for message in recorder.messages)


def test_subwords_that_are_asked_for_are_taken_and_go_into_the_next_model() -> None:
    data = made_reviews(120, 8)
    model = gw.train(data, recipe="fast", tokenization="subwords", **TINY)
    assert isinstance(encoding_of(model), SubwordEncoding)
    again = gw.train(data, recipe="fast", pretrained=model, **TINY)
    assert isinstance(encoding_of(again), SubwordEncoding)
    with pytest.raises(InputError, match=r"the pretrained model has text\.tokenization subwords"):
        gw.train(data, recipe="fast", tokenization="words", pretrained=model, **TINY)


def test_many_classes_of_few_rows_are_as_accurate_as_with_tf_idf() -> None:
    """150 classes of five rows: LinearSVC 0.92; 0.80 without the words of one row, and less with ratios of five rows
    against the others.
    """
    rng = np.random.default_rng(0)
    own, frequency = [rng.choice(3_000, 12, replace=False) for _ in range(150)], 1 / np.arange(1, 3_001)

    def made(rows: int) -> tuple[list[str], np.ndarray]:
        labels = np.repeat(np.arange(150), rows)
        words = [
            [*rng.choice(own[k], 4), *rng.choice(3_000, 12, p=frequency / frequency.sum())] for k in labels.tolist()
        ]
        return [" ".join(map("w{}".format, rng.permutation(one))) for one in words], labels

    (train, labels), (test, truth) = made(5), made(3)
    data = prepare(Labelled.of(train, [f"class {k:03}" for k in labels]), recipe("many-classes"), 0)
    found = fitted_to(data)[0].logits(data.preprocessor.encode_batch(test)).argmax(axis=1)
    svm = pytest.importorskip("sklearn.svm")
    vectors = pytest.importorskip("sklearn.feature_extraction.text").TfidfVectorizer()
    peer = svm.LinearSVC().fit(vectors.fit_transform(train), labels).predict(vectors.transform(test))
    assert np.mean(found == truth) >= np.mean(peer == truth) - 0.01


def test_wrong_labels_raise_the_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    """40% of the labels are flipped: weights that are fitted as to clean labels are right in fewer unseen texts."""
    reviews, query = made_reviews(1_000, 9), made_reviews(400, 10)
    flipped = np.where(np.random.default_rng(9).random(1_000) < 0.4, 1 - reviews.labels, reviews.labels)
    clean, noisy = (prepare(replace(reviews, labels=one), recipe("fast"), 0) for one in (reviews.labels, flipped))
    assert "penalty" not in fitted_to(clean)[1][0]
    found, (message,) = fitted_to(noisy)
    assert " times the penalty" in message
    sequences = noisy.preprocessor.encode_batch(query.inputs)
    with monkeypatch.context() as patch:
        patch.setattr(ngram_comparison, "NOISE", 0.0)
        plain, _ = fitted_to(noisy)
    right, before = (np.mean((one.logits(sequences)[:, 0] > 0) == query.labels) for one in (found, plain))
    assert right > before + 0.03
