"""Recipe series: the fit of convolutions, cross-validation, hold-out, every task; windows of several steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import ModelFileError
from gatewise.explain import serialize
from gatewise.kernels.convolution import KERNELS
from gatewise.members.convolutions import features_of
from gatewise.members.encoded_sequence import steps_of
from gatewise.network.series import amplitudes
from gatewise.ragged import Ragged
from gatewise.storage.folder import save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.training import network_data, recipe
from gatewise.training.members import convolutions
from gatewise.training.members.convolutions import dilations_of, fit_banks
from gatewise.training.network_data import plan_series
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from gatewise.types import Array
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder

TINY: dict[str, Any] = {"epochs": 2, "units": 3, "convolutions__features": 168}


def waves(n: int, seed: int, channels: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """Series of 20 to 40 steps whose frequency is the label, 0 to 2."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    rows = []
    for label in labels:
        t = np.arange(int(rng.integers(20, 41)))[:, None]
        wave = np.sin((0.3 + 0.4 * label) * t + rng.uniform(0, 6, channels))
        rows.append((wave + 0.3 * rng.standard_normal(wave.shape)).astype(np.float32))
    return rows, labels


def test_dilations_are_spaced_exponentially() -> None:
    dilations, counts = dilations_of(500, 119)
    assert dilations[0] == 1
    assert dilations[-1] <= 499 / 8 < 2 * dilations[-1]
    assert (np.diff(dilations) > 0).all()
    assert counts.sum() == 119
    assert counts.min() >= 1
    short, few = dilations_of(5, 119)
    assert short.tolist() == [1]
    assert few.tolist() == [119]


def test_banks_read_channels_or_differences() -> None:
    rows, _ = waves(9, 1, channels=3)
    series = Ragged.of(rows)
    plain = fit_banks(series, 840, np.random.default_rng(3), differences=False)
    both = fit_banks(series, 840, np.random.default_rng(3), differences=True)
    assert len(plain.thresholds) == len(both.thresholds) == 840
    assert not plain.channels[:, :, 3:].any()
    used = plain.channels.sum(axis=2)
    assert 1 <= used.min() < used.max() <= 3
    halves = both.channels.reshape(2, -1, len(KERNELS), 6)
    assert halves[0, :, :, :3].any()
    assert not halves[0, :, :, 3:].any()
    assert halves[1, :, :, 3:].any()
    assert not halves[1, :, :, :3].any()
    ppv = features_of(plain, series)
    assert 0.2 < ppv.mean() < 0.8  # thresholds are quantiles of what the convolutions give


def test_class_weights_reach_the_convolutions_and_leave_the_probabilities_calibrated() -> None:
    """The rare class has a bump of its own height; with class weights more of it is found."""
    rng = np.random.default_rng(11)

    def made(n: int) -> tuple[list[Array], list[str]]:
        rare = rng.random(n) < 0.06
        rows = [rng.normal(0, 1, (30, 1)).astype(np.float32) for _ in rare]
        for series, one in zip(rows, rare, strict=True):
            at = int(rng.integers(0, 18))
            series[at : at + 12, 0] += np.sin(np.arange(12)) * (2.0 if one else 0.4)
        return rows, ["rare" if one else "usual" for one in rare]

    (rows, labels), (fresh, truth) = made(300), made(2000)
    options: dict[str, Any] = {"epochs": 1, "units": 3, "convolutions__features": 336, "folds": 2}
    plain = train(rows, labels, **options)
    balanced = train(rows, labels, class_weight="balanced", **options)
    recalls = [(model.predict(fresh)[np.array(truth) == "rare"] == "rare").mean() for model in (plain, balanced)]
    assert recalls[1] > recalls[0] + 0.05
    share = np.mean(np.array(truth) == "rare")
    assert balanced.predict_proba(fresh)[:, 0].mean() == pytest.approx(share, abs=0.02)
    assert balanced.evaluate(fresh, truth).calibration_error < 0.03
    one, other = plain.ensemble.get("convolutions"), balanced.ensemble.get("convolutions")
    cosine = (one.weight * other.weight).sum() / np.linalg.norm(one.weight) / np.linalg.norm(other.weight)
    assert cosine < 0.99, "the weights of the fit differ, not their scale alone"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> gw.Model:
    rows, labels = waves(60, 3, 2)
    path = tmp_path_factory.mktemp("series") / "model"
    gw.train(rows, labels, out=path, **TINY)
    return gw.load(path)


def test_small_data_are_cross_validated_by_default_and_the_card_says_so(model: gw.Model) -> None:
    m = model.metadata
    assert m.recipe == "series"
    assert model.evaluate(Labelled.of(*waves(60, 4, 2))).accuracy > 0.85
    assert m.validation.startswith("5-fold cross-validation")
    assert m.n_train == m.n_validation == 60
    names = [one.data for one in m.evaluations]
    assert names == ["cross-validation, used to choose the epoch", "cross-validation, used to fit the ensemble weights"]
    assert m.calibration is None  # 60 rows are too few to call it calibrated
    card = model.card()
    assert "5-fold cross-validation" in card
    assert "Convolutions (" in card


def test_cross_validation_is_out_of_fold() -> None:
    rng = np.random.default_rng(5)
    rows = [rng.standard_normal((12, 1)).astype(np.float32) for _ in range(60)]
    labels = rng.integers(0, 2, 60)
    recorder = Recorder()
    found = gw.train(rows, labels, callbacks=recorder, **TINY).metadata.evaluations[-1]
    assert any(message.startswith("ensemble: ") and "convolutions x" in message for message in recorder.messages)
    assert found.accuracy < 0.75  # noise: a fit to its own rows would reach 1
    assert found.loss > 0.6


def test_cross_validation_is_out_of_fold_without_convolutions() -> None:
    rows, labels = waves(40, 3, 2)
    changes = TINY | {"convolutions__features": 0, "epochs": 8}
    found = gw.train(rows, labels, threshold="f1", **changes)
    own = found.evaluate(Labelled.of(rows, labels)).loss  # all rows are training rows
    assert [one.data.split(",")[0] for one in found.metadata.evaluations] == ["cross-validation"] * 3
    assert all(abs(one.loss - own) > 1e-3 for one in found.metadata.evaluations[1:])


def test_large_data_are_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = waves(60, 3, 2)
    data = Labelled.of(rows, labels)
    steps = sum(len(row) for row in rows)
    folded = prepare(data, recipe("series"), 0)
    assert sorted(np.concatenate(folded.folds).tolist()) == list(range(60))
    assert folded.train.tolist() == folded.validation.tolist() == list(range(60))
    monkeypatch.setattr(network_data, "MAX_TIME_STEPS", steps * 30)
    held = prepare(data, recipe("series"), 0)
    assert held.folds == ()
    assert 0 < len(held.validation) < 20
    assert held.recipe.optimisation.epochs == pytest.approx(30 * 60 / len(held.train), abs=1)


def test_more_rows_than_the_convolutions_hold_out_are_not_cross_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than MOST_ROWS rows the convolutions hold out one fold, so the network has one validation set too. They
    have fewer features, of a chunk of rows at a time.
    """
    for module in (convolutions, network_data):
        monkeypatch.setattr(module, "MOST_ROWS", 50)
    monkeypatch.setattr(convolutions, "FEATURES_OF_MANY", 252)
    monkeypatch.setattr(convolutions, "ROWS_PER_CHUNK", 16)
    assert plan_series(recipe("series"), [10] * 51, 41, own_validation=False)[1] == 0
    assert plan_series(recipe("series", convolutions__features=0), [10] * 51, 41, own_validation=False)[1] == 5
    rows, labels = waves(60, 3, 2)
    found = gw.train(rows, labels, **TINY | {"convolutions__features": 9_996})
    assert len(found.ensemble.get("convolutions")) == 252
    assert found.metadata.validation.startswith("20% of the training data")
    test, truth = waves(60, 4, 2)
    assert found.evaluate(Labelled.of(test, truth)).accuracy > 0.85


def test_validation_data_of_their_own_are_not_trained_on() -> None:
    (rows, labels), (others, other_labels) = waves(30, 3, 2), waves(24, 8, 2)
    found = gw.train(rows, labels, validation=(others, other_labels), **TINY)
    assert (found.metadata.n_train, found.metadata.n_validation) == (30, 24)
    measured = found.evaluate(Labelled.of(others, other_labels))
    assert found.metadata.evaluations[-1].accuracy == pytest.approx(measured.accuracy, abs=1e-6)


def test_rows_of_a_group_are_held_out_together() -> None:
    rng = np.random.default_rng(11)
    noise = [rng.standard_normal((15, 1)).astype(np.float32) for _ in range(20)]
    labels = rng.integers(0, 3, 20)
    twice, both = [*noise, *(one + np.float32(1e-6) for one in noise)], np.concatenate([labels, labels])
    given: dict[str, Any] = TINY | {"convolutions__features": 420}
    found = [gw.train(twice, both, groups=groups, **given) for groups in (None, [n % 20 for n in range(40)])]
    leaking, honest = (one.metadata.evaluations[-1].accuracy for one in found)
    assert leaking == 1
    assert honest < 0.8


def test_short_and_constant_series() -> None:
    rows = [np.full((1 + n % 5, 1), n % 2, dtype=np.float32) for n in range(12)]
    model = gw.train(rows, np.arange(12) % 2, **TINY | {"convolutions__features": 84})
    assert np.isfinite(model.ensemble.get("convolutions").logits([*rows, np.zeros((0, 1), dtype=np.float32)])).all()


def test_several_labels() -> None:
    (rows, labels), (test, truth) = waves(45, 3), waves(30, 8)
    found = gw.train(rows, np.eye(3, dtype=int)[labels], task="multilabel", **TINY)
    assert (found.predict_proba(test).argmax(axis=1) == truth).mean() > 0.8


def test_several_numbers() -> None:
    """In the unit of each, and one that is constant."""
    (rows, labels), (test, truth) = waves(45, 3), waves(30, 8)
    numbers, expected = (np.stack([100 + 20.0 * x, 0.5 * x, 7.25 + 0 * x], axis=1) for x in (labels, truth))
    data = Labelled.of(rows, numbers, task="regression")
    found = gw.train(data, **TINY)
    predicted = found.predict(test)
    assert (np.sqrt(np.mean((predicted - expected) ** 2, axis=0)) < [10, 0.25, 1e-3]).all()
    names = ("value 1", "value 2", "value 3")
    assert found.evaluate(Labelled.of(test, expected, task="regression")).classes == found.classes == names
    assert abs(found.explain(test[0], "prefix-difference").residual) < 1e-2


def test_one_row_of_a_class_and_a_constant_channel() -> None:
    rows, labels = waves(21, 3)
    rows = [np.concatenate([row, np.ones_like(row)], axis=1) for row in rows]
    names = [f"w{label}" for label in labels]
    names[5] = "rare"
    with pytest.warns(UserWarning, match="one row|few"):
        found = gw.train(rows, names, **TINY)
    assert len(found.classes) == 4
    assert np.isfinite(found.predict_proba(rows)).all()


def bursts(n: int, seed: int) -> tuple[list[Any], list[str]]:
    """Noise of two channels and 90 to 150 steps, with a fast oscillation in the first half or in the second."""
    rng, rows, labels = np.random.default_rng(seed), [], []
    for k in range(n):
        length = int(rng.integers(90, 151))
        series = rng.normal(3, 1, (length, 2))
        at = int(rng.integers(5, length // 2 - 25)) + (k % 2) * (length // 2)
        series[at : at + 20, 1] += 4 * np.sin(np.arange(20) * 1.7 + rng.uniform(0, 6))
        rows.append(series.astype(np.float32))
        labels.append(("early", "late")[k % 2])
    return rows, labels


@pytest.fixture(scope="module")
def windowed() -> gw.Model:
    rows, labels = bursts(40, 0)
    return gw.train(rows, labels, epochs=30, units=8, windows=30, convolutions__features=168)


def test_the_lstm_finds_where_a_burst_lies(windowed: gw.Model) -> None:
    rows, labels = bursts(60, 1)
    assert windowed.preprocessor.window == 5  # type: ignore[union-attr]
    assert windowed.score(rows, labels) > 0.9
    assert windowed.ensemble.lstm_weight > 0.1
    alone = gw.train(*bursts(40, 0), epochs=1, units=4, recipe="lstm")
    assert [member.kind for member, _ in alone.ensemble] == ["lstm"]


def test_explanations_name_the_steps_of_a_window(windowed: gw.Model) -> None:
    rows, _ = bursts(1, 2)
    example = windowed.trace(rows[0])
    names = [f"{t + 1}–{min(t + 5, len(rows[0]))}" for t in range(0, len(rows[0]), 5)]
    assert example.steps == names
    for method in ("prefix-difference", "integrated-gradients", "leave-one-out"):
        found = windowed.explain(rows[0], method)
        assert len(found.scores) == len(names)
        if found.adds_up:
            assert abs(found.residual) < 1e-2
    values = np.array(serialize.text_json(example, None)["values"])
    np.testing.assert_allclose(values[1], rows[0][5:10].mean(axis=0), rtol=1e-5)


def test_folder_pickle_and_other_libraries(windowed: gw.Model, tmp_path: Path) -> None:
    rows, _ = bursts(7, 3)
    rows[2][10:14, 1] = np.nan
    rows.append(rows[0][:3])
    windowed.save(tmp_path / "model")
    loaded = gw.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(rows), windowed.predict_proba(rows))
    report = loaded.export(tmp_path / "model.onnx")
    assert report.max_error < 1e-5
    torch = pytest.importorskip("torch")
    sequences = steps_of(loaded.preprocessor.encode_batch(rows))
    lengths = torch.tensor([len(one) for one in sequences])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in sequences], batch_first=True)
    found = gw.to_torch(windowed, network_only=True)(padded, lengths).detach().numpy()
    np.testing.assert_allclose(found, windowed.ensemble.lstm.logits(sequences), atol=1e-4)


def test_a_folder_that_names_unread_numbers_is_read(windowed: gw.Model, tmp_path: Path) -> None:
    """As gatewise wrote them when the steps of the series stood in front of what the LSTM reads."""
    rows, _ = bursts(5, 4)
    files = windowed.to_files()
    config = json.loads(files["config.json"])
    [lstm] = [member for member in config["members"] if member["kind"] == "lstm"]
    for unread in (10, -1, "10"):
        lstm["architecture"]["unread"] = unread
        folder = tmp_path / str(unread)
        save_folder(folder, {**files, "config.json": json_bytes(config)})
        if unread == 10:
            np.testing.assert_array_equal(gw.load(folder).logits(rows), windowed.logits(rows))
        else:
            assert_refused(
                "architecture: unread must be a whole number of at least 0", gw.load, folder, error=ModelFileError
            )


def test_amplitudes_are_those_of_haar_wavelets() -> None:
    x = np.random.default_rng(0).normal(size=(23, 2))
    found = amplitudes(x, 9).reshape(3, 4, 2)
    np.testing.assert_allclose(found[1, 0], x[9:18].mean(axis=0))
    for octave, w in enumerate((1, 2, 4)):
        change = np.stack([x[t : t + w].sum(axis=0) - x[t - w : t].sum(axis=0) for t in range(9, 18)])
        np.testing.assert_allclose(found[1, 1 + octave], np.sqrt((change**2).mean(axis=0) / (2 * w)))
    assert amplitudes(x[:1], 9).shape == (1, 8)
