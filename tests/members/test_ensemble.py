"""`Ensemble`: weights and shift in its logits, its files; and what every kind of member has in common."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.member import Inputs, Member
from gatewise.members.ngrams import Ngrams
from gatewise.network.architecture import Architecture
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.target import target_of
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, parameters_of, sequence_of
from tests.members import test_convolutions, test_ngrams
from tests.refusals import assert_refused

ARCH = Architecture.stacked("tokens", test_ngrams.VOCAB_SIZE, 4, 5, outputs=3)
INPUTS = Inputs("tokens", test_ngrams.VOCAB_SIZE)
TARGET = target_of(("a", "b", "c"))
SHIFT = np.array([0.5, -1.0, 0.25])


def lstm_of(arch: Architecture = ARCH, seed: int = 3) -> LSTM:
    return LSTM(arch, parameters_of(arch, seed))


def ngrams_of(seed: int, scaled: bool = False) -> Ngrams:
    ngrams, _, _ = test_ngrams.some(seed, 3)
    return test_ngrams.scaled(ngrams) if scaled else ngrams


def ensemble_of(*weights: float) -> Ensemble:
    """n-grams, an LSTM, and other n-grams."""
    members = (ngrams_of(1), lstm_of(), ngrams_of(2, scaled=True))
    return Ensemble(members, weights or (0.25, 0.5, 2.0), SHIFT, TARGET)


def sequences() -> list[EncodedSequence]:
    return [EncodedSequence(sequence_of(ARCH, length, 5)) for length in (9, 1, 30)]


def test_logits_are_the_weighted_sum_and_the_shift() -> None:
    ensemble, rows = ensemble_of(), sequences()
    one, lstm, two = (member.logits(steps_of(rows)) for member in ensemble.members)
    np.testing.assert_allclose(ensemble.logits(rows), 0.25 * one + 0.5 * lstm + 2 * two + SHIFT, rtol=1e-12)
    assert (ensemble.lstm, ensemble.lstm_weight) == (ensemble.members[1], 0.5)
    assert ensemble.get("ngrams") is ensemble.members[0]
    assert ensemble.get("convolutions") is None
    assert str(ensemble) == "n-grams 0.25, LSTM 0.50, n-grams 2.00"
    np.testing.assert_array_equal(ensemble.alone().logits(rows), lstm)
    folded = ensemble.lstm
    folded = replace(folded, parameters=ensemble.folded_parameters())
    np.testing.assert_allclose(folded.logits(steps_of(rows)), 0.5 * lstm + SHIFT, atol=1e-5)
    assert ensemble.logits([]).shape == (0, 3)


@pytest.mark.parametrize("weights", [(0.0, 0.5, 2.0), (0.25, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.0)])
def test_a_member_of_weight_0_is_not_run(weights: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble, rows, ran = ensemble_of(*weights), sequences(), []
    wanted = sum(w * member.logits(steps_of(rows)) for member, w in ensemble) + SHIFT
    for kind in (LSTM, Ngrams):
        logits = kind.logits

        def watched(member: Any, given: Any, logits: Any = logits) -> Array:
            ran.append(member)
            return np.asarray(logits(member, given))

        monkeypatch.setattr(kind, "logits", watched)
    np.testing.assert_allclose(ensemble.logits(rows), wanted, rtol=1e-12)
    assert ran == [member for member, weight in ensemble if weight]


def read_back(config: Any, files: dict[str, bytes]) -> Ensemble:
    return Ensemble.from_files(parse_json(json_bytes(config), "config.json"), TARGET, INPUTS, files.__getitem__)


def test_two_members_of_one_kind_come_back_from_their_files() -> None:
    ensemble, rows = ensemble_of(1, np.float32(0.5), np.float64(0.0)), sequences()  # type: ignore[arg-type]
    config, files = ensemble.to_files()
    assert list(files) == ["ngrams.safetensors", "lstm.safetensors", "ngrams-2.safetensors"]
    again = read_back(config, files)
    assert [type(member) for member in again.members] == [Ngrams, LSTM, Ngrams]
    assert again.weights == (1.0, 0.5, 0.0)
    np.testing.assert_array_equal(again.logits(rows), ensemble.logits(rows))
    assert again.to_files() == (config, files)
    assert again.fingerprint() == ensemble.fingerprint()
    others = [replace(ensemble, weights=(1.0, 0.5, 0.1)), replace(ensemble, shift=SHIFT + 1), ensemble.alone()]
    others.append(replace(ensemble, members=(ngrams_of(3), *ensemble.members[1:])))
    others.append(ensemble.with_lstm(parameters=lstm_of(seed=4).parameters))
    assert len({one.fingerprint() for one in (ensemble, *others)}) == 6


def test_what_does_not_fit_together_is_refused() -> None:
    for changes, message in (
        ({"members": (ngrams_of(1),), "weights": (1.0,)}, "exactly one LSTM"),
        ({"weights": (1.0, 1.0, np.nan)}, "3 finite weights"),
        ({"shift": np.array([0, np.inf, 0])}, "3 finite numbers"),
        ({"target": target_of(("a", "b"))}, "needs 1 outputs; the network has 3"),
        ({"members": (lstm_of(), test_ngrams.some(1, 2)[0]), "weights": (1.0, 1.0)}, "2 logits, the model has 3"),
    ):
        assert_refused(message, replace, ensemble_of(), **changes)


MEMBERS: dict[str, Member] = {
    "n-grams": ngrams_of(1),
    "scaled n-grams": ngrams_of(2, scaled=True),
    "convolutions": test_convolutions.some(channels=3),
    # without a truncation and pads in front, which prefixes of one run keep
    **{f"LSTM, {name}": lstm_of(arch) for name, arch in ARCHITECTURES.items() if not arch.max_length},
}


@pytest.mark.parametrize("length", [0, 1, 2, 17, 60])
@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_kind_computes_by_itself_agrees_with_the_general_implementation(name: str, length: int) -> None:
    member = MEMBERS[name]
    if isinstance(member, LSTM):
        sequence = sequence_of(member.arch, length, 3)
    else:
        sequence = test_convolutions.series(length, 3) if name == "convolutions" else sequence_of(ARCH, length, 3)
    prefixes = Member.prefix_logits(member, sequence)
    assert prefixes.shape == (length + 1, member.outputs)
    np.testing.assert_allclose(member.prefix_logits(sequence), prefixes, atol=2e-5)
    np.testing.assert_allclose(prefixes[-1], member.logits([sequence])[0], atol=1e-5)
    for attribution in (member.attribution(sequence), Member.attribution(member, sequence)):
        assert attribution.shape == (length, member.outputs)
        np.testing.assert_allclose(attribution.sum(axis=0), prefixes[-1] - prefixes[0], atol=2e-5)
    steps = np.unique(np.array([0, length // 2, length - 1])) if length else np.zeros(0, dtype=np.int64)
    assert member.leave_one_out(sequence, steps[:0]).shape == (0, member.outputs)
    left = member.leave_one_out(sequence, steps)
    assert left.shape == (len(steps), member.outputs)
    np.testing.assert_allclose(left, Member.leave_one_out(member, sequence, steps), atol=1e-5)
    for row, step in zip(left, steps, strict=True):
        np.testing.assert_allclose(row, member.logits([np.delete(sequence, step, axis=0)])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sequence", "chunk", "most"),
    [
        ("n-grams", sequence_of(ARCH, 3_000, 3), "ngrams.TOKENS_PER_CHUNK", 20e6),
        ("convolutions", test_convolutions.series(2_000, 3), "convolutions.STEPS_PER_CHUNK", 10e6),
    ],
)
def test_leave_one_out_holds_one_chunk(
    name: str, sequence: Array, chunk: str, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edited sequences have 9 and 2 million steps together, of 8 and 12 bytes; a chunk has 40,000."""
    member, steps = MEMBERS[name], np.arange(0, len(sequence), 1 if name == "n-grams" else 2)
    monkeypatch.setattr(f"gatewise.members.{chunk}", 40_000)
    tracemalloc.start()
    found = member.leave_one_out(sequence, steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < most
    np.testing.assert_allclose(found[500], member.logits([np.delete(sequence, steps[500], axis=0)])[0], atol=1e-9)


@pytest.mark.parametrize("name", ["truncated front", "truncated middle"])
def test_a_step_that_the_lstm_does_not_read_changes_no_prefix(name: str) -> None:
    lstm = lstm_of(ARCHITECTURES[name])
    sequence = sequence_of(lstm.arch, 20, 3)
    rows, read = lstm.read(sequence)
    assert len(rows) == 9
    found, unread = lstm.prefix_logits(sequence), np.setdiff1d(np.arange(20), rows)
    np.testing.assert_array_equal(found[unread + 1], found[unread])
    np.testing.assert_allclose(found[rows + 1], lstm.prefix_logits(read)[1:], atol=1e-6)
    np.testing.assert_allclose(found[-1], lstm.logits([sequence])[0], atol=1e-6)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_says_what_it_is_and_comes_back_from_its_file(name: str) -> None:
    member = MEMBERS[name]
    inputs = INPUTS
    if isinstance(member, LSTM):
        inputs = member.inputs
    elif name == "convolutions":
        inputs = Inputs("channels", 3, (1, 3))
    member.check(inputs)
    entry, raw = member.to_file()
    entry = parse_json(json_bytes(entry), "config.json")
    assert type(member).from_file(entry, raw, inputs, member.outputs, "x.safetensors").to_file()[1] == raw
    assert all(weights >= 0 for _, _, weights in member.summary())
    other = Inputs("tokens" if inputs.kind == "channels" else "channels", inputs.size)
    for wrong in (other, Inputs(inputs.kind, 2)):
        with pytest.raises(InputError):
            member.check(wrong)
