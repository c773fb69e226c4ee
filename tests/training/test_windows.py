"""Series that the LSTM reads in windows of several steps: training, explanations, files, exports."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.explain import serialize
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.series import TIMES, amplitudes


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
def model() -> gw.Model:
    rows, labels = bursts(40, 0)
    return gw.train(rows, labels, epochs=30, units=8, windows=30, convolutions__features=168)


def test_the_lstm_finds_where_a_burst_lies(model: gw.Model) -> None:
    rows, labels = bursts(60, 1)
    assert model.preprocessor.window == 5  # type: ignore[union-attr]
    assert model.score(rows, labels) > 0.9
    assert model.ensemble.lstm_weight > 0.1
    alone = gw.train(*bursts(40, 0), epochs=1, units=4, recipe="lstm")
    assert [member.kind for member, _ in alone.ensemble] == ["lstm"]


def test_explanations_name_the_steps_of_a_window(model: gw.Model) -> None:
    rows, _ = bursts(1, 2)
    example = model.trace(rows[0])
    names = [f"{t + 1}–{min(t + 5, len(rows[0]))}" for t in range(0, len(rows[0]), 5)]
    assert example.steps == names
    for method in ("prefix-difference", "integrated-gradients", "leave-one-out"):
        found = model.explain(rows[0], method)
        assert len(found.scores) == len(names)
        if found.adds_up:
            assert abs(found.residual) < 1e-2
    values = np.array(serialize.text_json(example, None)["values"])
    np.testing.assert_allclose(values[1], rows[0][5:10].mean(axis=0), rtol=1e-5)


def test_folder_pickle_and_other_libraries(model: gw.Model, tmp_path: Path) -> None:
    rows, _ = bursts(7, 3)
    rows[2][10:14, 1] = np.nan
    rows.append(rows[0][:3])
    model.save(tmp_path / "model")
    loaded = gw.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    report = loaded.to_onnx(tmp_path / "model.onnx")
    assert report.max_error < 1e-5
    torch = pytest.importorskip("torch")
    sequences = loaded.preprocessor.encode_batch(rows)
    lengths = torch.tensor([len(one) for one in sequences])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in sequences], batch_first=True)
    found = model.to_torch(network_only=True)(padded, lengths).detach().numpy()
    np.testing.assert_allclose(found, model.ensemble.lstm.logits(sequences), atol=1e-4)
    with pytest.raises(InputError, match="windows=0"):
        gw.train(*bursts(20, 0), epochs=1, units=4, bidirectional=False, recipe="lstm").stream().push([1.0, 2.0])


def test_a_window_of_one_step_streams_with_its_time() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(int(rng.integers(5, 20)), 2)).astype(np.float32) for _ in range(20)]
    model = gw.train(rows, [n % 2 for n in range(20)], epochs=1, units=4, bidirectional=False, recipe="lstm")
    assert model.architecture.channels == 2 + TIMES + 1
    stream = model.stream()
    for step in rows[0]:
        pushed = stream.push(step)
    np.testing.assert_array_equal(pushed.logits, model.logits(rows[:1])[0])


def test_amplitudes_are_those_of_haar_wavelets() -> None:
    x = np.random.default_rng(0).normal(size=(23, 2))
    found = amplitudes(x, 9).reshape(3, 4, 2)
    np.testing.assert_allclose(found[1, 0], x[9:18].mean(axis=0))
    for octave, w in enumerate((1, 2, 4)):
        change = np.stack([x[t : t + w].sum(axis=0) - x[t - w : t].sum(axis=0) for t in range(9, 18)])
        np.testing.assert_allclose(found[1, 1 + octave], np.sqrt((change**2).mean(axis=0) / (2 * w)))
    assert amplitudes(x[:1], 9).shape == (1, 8)


def test_a_series_is_read_back_from_its_rows() -> None:
    rng = np.random.default_rng(0)
    fitted = SeriesPreprocessor.fit([rng.normal(size=(n, 3)) for n in (40, 31)], rows=16)
    assert (fitted.window, len(fitted.level)) == (3, 6)
    row = fitted.encode_batch([rng.normal(size=(31, 3)).astype(np.float32)])[0]
    assert row.shape == (11, fitted.inputs.unread + fitted.inputs.size)
    assert np.isnan(row[-1, 3:9]).all()
    assert np.isfinite(row[:, fitted.inputs.unread :]).all()
