"""Taggers whose labels depend on one another: the network with word features and transitions, and the linear member."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.kernels import get
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.step_features import READ, StepFeatures
from gatewise.network.architecture import TRANSITIONS, Architecture, initial_parameters
from gatewise.network.batch import Batch
from gatewise.network.distinct_tokens import unique_rows
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.network.trainable import BatchLoss, Network
from gatewise.ragged import Ragged
from gatewise.target import StepTarget, target_of
from gatewise.target.crf import Transitions, sequence_losses
from gatewise.text import FeatureEncoding
from gatewise.text.word_features import TEMPLATES
from gatewise.training.members.step_features import _Design
from gatewise.types import Array

LABELS = 3
WORDS = 7
FEATURES = 11
ARCH = Architecture.stacked(
    "tokens",
    WORDS,
    embedding_dim=4,
    units=3,
    bidirectional=True,
    pooling="none",
    outputs=LABELS,
    word_features=FEATURES,
    feature_dim=2,
    crf=True,
)


def words(lengths: list[int], seed: int = 0) -> Ragged:
    """Words with features (N, 1 + F); some features are unknown, or beyond the table of the network."""
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    ids = rng.integers(0, FEATURES + 4, (total, 1 + len(TEMPLATES)))
    ids[:, 0] = rng.integers(0, WORDS, total)
    return Ragged(ids.astype(np.int32), np.array(lengths, dtype=np.intp))


def parameters(seed: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    arrays = initial_parameters(ARCH, rng)
    changed = {name: (array + 0.3 * rng.normal(size=array.shape)).astype(np.float32) for name, array in arrays.items()}
    changed["feature_embedding.weight"][0] = 0
    return changed


def linear_member(seed: int = 2) -> StepFeatures:
    rng = np.random.default_rng(seed)
    rows = 1 + len(READ) * (FEATURES - 1)
    row = np.zeros((len(READ), FEATURES), dtype=np.int32)
    row[:, 1:] = np.arange(1, rows).reshape(len(READ), -1)
    weight = rng.normal(size=(rows, LABELS)).astype(np.float32)
    weight[0] = 0
    transitions = Transitions(*(rng.normal(size=shape) for shape in ((LABELS,), (LABELS, LABELS), (LABELS,))))
    places = rng.normal(size=(2, LABELS)).astype(np.float32)
    return StepFeatures(row, weight, places, rng.normal(size=LABELS).astype(np.float32), transitions)


def test_a_word_is_read_as_its_embedding_and_the_sum_of_its_features() -> None:
    arrays = parameters()
    batch = words([3, 1])
    of_features = np.zeros((4, 2))
    for step, ids in enumerate(batch.values[:, 1:]):
        for feature in ids:
            if feature < FEATURES:
                of_features[step] += arrays["feature_embedding.weight"][feature]
    expected = np.concatenate([arrays["embedding.weight"][batch.values[:, 0]], of_features], axis=1)
    lstm = LSTM(ARCH, arrays)
    np.testing.assert_allclose(lstm.embedded(batch.values), expected, atol=1e-6)
    logits = lstm.logits(batch)
    assert logits.shape == (4, LABELS)
    np.testing.assert_allclose(lstm.logits([batch[0]]), logits[:3], atol=1e-6)


def test_distinct_rows_are_those_of_numpy() -> None:
    rows = words([50], 3).values[:, :3] % 3
    distinct, index = unique_rows(rows)
    assert len(distinct) == len(np.unique(rows, axis=0))
    np.testing.assert_array_equal(distinct[index], rows)


def test_gradients_of_features_and_transitions_equal_differences() -> None:
    network = Network(ARCH, parameters(), dtype="float64", kernel=get("reference"))
    steps = words([4, 2, 1], 4)
    labels = np.random.default_rng(5).integers(0, LABELS, len(steps.values))
    batch = Batch.of(steps, ARCH)

    def loss_of(logits: Array) -> BatchLoss:
        transitions = Transitions.of(network.parameters, TRANSITIONS)
        found = sequence_losses(steps.with_values(logits), labels, transitions)
        of_parameters = {TRANSITIONS + name: array for name, array in found.transitions.items()}
        return BatchLoss(float(found.losses.sum()), found.emissions, of_parameters=of_parameters)

    predictions = network.forward(batch)
    predictions.backward(predictions.losses(loss_of))
    gradients: dict[str, Any] = network.gradients()
    for name, value in network.parameters.items():
        gradient = np.zeros_like(value)
        if name in network.tables:
            gradient[gradients[name].rows] = gradients[name].values
        else:
            gradient = gradients[name]
        for place in np.random.default_rng(6).permutation(list(np.ndindex(value.shape)))[:6]:
            at = tuple(place)
            if name == "feature_embedding.weight" and at[0] == 0:  # no feature: not trained
                assert gradient[at] == 0
                continue
            sides = []
            for sign in (1, -1):
                before = value[at]
                value[at] = before + sign * 1e-6
                sides.append(loss_of(np.asarray(forward(Ops(get("reference")), network.parameters, ARCH, batch))).value)
                value[at] = before
            np.testing.assert_allclose(gradient[at], (sides[0] - sides[1]) / 2e-6, rtol=1e-5, atol=1e-7)


def test_the_linear_member_adds_up_its_words() -> None:
    member = linear_member()
    steps = words([5, 1, 3], 7)
    logits = member.logits(steps)
    assert logits.shape == (9, LABELS)
    np.testing.assert_allclose(member.logits([steps[0]]), logits[:5], atol=1e-12)
    for step in range(5):
        of_words = member.step_attribution(steps[0], step)
        rest = logits[step] - of_words.sum(axis=0)
        expected = member.bias.astype(np.float64)
        expected = expected + (step == 0) * member.places[0] + (step == 4) * member.places[1]
        np.testing.assert_allclose(rest, expected, atol=1e-6)
        changed = steps[0].copy()
        changed[3, 1:] = 0  # a word without a known feature
        moved = member.logits([changed])[step]
        np.testing.assert_allclose(logits[step] - moved, of_words[3], atol=1e-6)


def test_the_design_matrix_of_the_fit_computes_the_same_logits() -> None:
    steps = words([5, 2, 3], 8)
    steps = steps.with_values(np.where(steps.values < FEATURES, steps.values, 0))
    labels = np.random.default_rng(9).integers(0, LABELS, len(steps.values))
    design = _Design.of(steps, labels, FEATURES)
    weight = np.random.default_rng(10).normal(size=(design.matrix.shape[1], LABELS)).astype(np.float32)
    weight[0] = 0
    zeros = np.zeros(LABELS, dtype=np.float32)
    member = StepFeatures(design.row, weight, np.zeros((2, LABELS), dtype=np.float32), zeros, Transitions.zeros(LABELS))
    np.testing.assert_allclose(member.logits(steps), design.matrix @ weight, atol=1e-5)


def test_transitions_are_summed_with_the_weights_of_the_members() -> None:
    lstm = LSTM(ARCH, parameters())
    member = linear_member()
    target = target_of(("a", "b", "c"), "tagging")
    ensemble = Ensemble((lstm, member), (0.25, 2.0), np.zeros(LABELS), target)
    total = ensemble.target.transitions  # type: ignore[attr-defined]
    assert lstm.transitions is not None
    expected = 0.25 * lstm.transitions.between + 2.0 * member.transitions.between
    np.testing.assert_allclose(total.between, expected)
    alone = Ensemble.of(lstm, target)
    np.testing.assert_allclose(alone.target.transitions.start, lstm.transitions.start)  # type: ignore[attr-defined]


def test_two_classes_have_one_logit() -> None:
    """A target of two classes with transitions, against the same with two columns."""
    rng = np.random.default_rng(11)
    transitions = Transitions(rng.normal(size=2), rng.normal(size=(2, 2)), rng.normal(size=2))
    logits = Ragged(rng.normal(size=(6, 1)), np.array([4, 2]))
    target = StepTarget(("no", "yes"), transitions=transitions)
    p = target.probabilities(logits).values
    np.testing.assert_allclose(p.sum(axis=1), 1)
    labels = target.labels(logits)
    columns = target.columns(logits, every=False, names=True)
    assert columns["label"].values == labels
    for row, (answer, of_row) in enumerate(zip(target.answers(logits), target.probabilities(logits), strict=True)):
        assert answer["labels"] == labels[row]
        np.testing.assert_allclose(answer["probabilities"]["yes"], of_row[:, 1])
    found = target.evaluate(logits, Ragged(target.decided(logits), logits.lengths), "itself")
    assert found.score == 1


@pytest.fixture(scope="module")
def chunks() -> tuple[list[list[str]], list[list[str]]]:
    """Rows in which the label of a word depends on that of the word before: numbers after "no" are of another kind."""
    rng = np.random.default_rng(12)
    rows, labels = [], []
    for _ in range(160):
        row, of_row = [], []
        for _ in range(rng.integers(2, 5)):
            kind = str(rng.choice(["no", "at"]))
            row += [kind, *(f"{rng.integers(10, 10_000)}" for _ in range(rng.integers(1, 4)))]
            of_row += ["O", *[f"{'B' if n == 0 else 'I'}-{kind}" for n in range(len(row) - len(of_row) - 1)]]
        rows.append(row)
        labels.append(of_row)
    return rows, labels


def test_a_tagger_has_both_members_and_is_saved(chunks: Any, tmp_path: Path) -> None:
    rows, labels = chunks
    model = gw.train(rows[:120], labels[:120], task="tagging", units=12, verbose=0)
    assert set(model.weights) == {"LSTM", "word features"}
    assert isinstance(model.preprocessor.encoding, FeatureEncoding)  # type: ignore[union-attr]
    assert model.score(rows[120:], labels[120:]) > 0.97
    model.save(tmp_path / "tagger")
    loaded = gw.load(tmp_path / "tagger")
    assert loaded.fingerprint == model.fingerprint
    assert loaded.predict(rows[120:]) == model.predict(rows[120:])
    for before, after in zip(model.predict_proba(rows[120:]), loaded.predict_proba(rows[120:]), strict=True):
        np.testing.assert_array_equal(before, after)
    explanation = model.explain(rows[120], step=1, method="integrated-gradients")
    assert explanation.labels == tuple(model.predict([rows[120]])[0])
    assert [part.name for part in explanation.parts] == ["LSTM", "word features"]
    assert explanation.residual == pytest.approx(0, abs=0.05)
    with pytest.raises(InputError, match="an ONNX file has no features of words: train with tokenization='spaces'"):
        model.export(tmp_path / "tagger.onnx")


def test_a_tagger_can_start_from_another(chunks: Any) -> None:
    rows, labels = chunks
    first = gw.train(rows[:120], labels[:120], task="tagging", units=12, verbose=0)
    second = gw.train(rows[:60], labels[:60], task="tagging", pretrained=first, epochs=1, verbose=0)
    assert second.architecture.crf
    assert second.score(rows[120:], labels[120:]) > 0.9


def test_streams_and_other_formats_need_independent_steps(chunks: Any) -> None:
    rows, labels = chunks
    options: dict[str, Any] = {"task": "tagging", "units": 8, "bidirectional": False, "epochs": 1, "verbose": 0}
    model = gw.train(rows[:60], labels[:60], tokenization="spaces", **options)
    assert model.stream().push("no").label in model.classes
    plain = gw.train(rows[:60], labels[:60], tokenization="spaces", crf=False, **options)
    assert plain.stream().push("no").label in plain.classes
