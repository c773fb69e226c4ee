"""Units over a data set: ablation, excerpts of the largest memory changes, words by gate, and the file."""

import dataclasses
import json

import numpy as np
import pytest

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, ModelFileError
from gatewise.explain.render.terminal import unit_report, units_report
from gatewise.explain.units import UnitsReport, units_over
from gatewise.members.clamp import ablate
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.members.ensemble import Ensemble
from gatewise.model.model import Model
from gatewise.model.reports import units_report as units_report_of
from gatewise.network.batch import truncate
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, ensemble_of, names_of, printed, sequence_of, without_unit
from tests.members.graphs import recurrent_classifier
from tests.members.test_graph_network import AS_GRAPHS, attention_series, both
from tests.refusals import assert_refused

LENGTHS = [14, 3, 30, 9, 21, 1, 17]
NAMES = ["plain", "pads, two layers", "bidirectional, two layers, mean and max", "binary", "series"]


def net_of(name: str) -> Ensemble:
    return ensemble_of(name, unknown=2 if ARCHITECTURES[name].inputs == "tokens" else None)


def data_of(net: Ensemble) -> tuple[list[EncodedSequence], list[list[str]], Array]:
    """Sequences, the names of their steps (a token's own, upper or lower), and classes."""
    sequences = [sequence_of(net.lstm.arch, length, 7) for length in LENGTHS]
    tokens = net.lstm.arch.inputs == "tokens"
    names = [[f"Word{token}" if tokens else str(t) for t, token in enumerate(s)] for s in sequences]
    return list(map(EncodedSequence, sequences)), names, np.arange(len(LENGTHS)) % max(2, net.lstm.arch.outputs)


def report_of(name: str, **more: int) -> UnitsReport:
    net = net_of(name)
    sequences, names, truth = data_of(net)
    return units_over(net, sequences, names, truth, names_of(net.lstm.arch), "a line", "abc", **{"minimum": 3, **more})


@pytest.mark.parametrize("name", NAMES)
def test_statistics_equal_those_of_single_sequences(name: str) -> None:
    net, report = net_of(name), report_of(name, excerpts=3)
    sequences, names, truth = data_of(net)
    arch = net.lstm.arch
    assert len(report.units) == arch.top.size
    logits = net.logits(sequences)
    predicted = logits.argmax(axis=1) if arch.outputs > 1 else (logits[:, 0] > 0).astype(int)
    assert report.accuracy == pytest.approx((predicted == truth).mean())
    reads = [truncate(steps, arch) for steps in steps_of(sequences)]
    opened = [run.lstms[-len(arch.top.directions) :] for run in net.lstm.activations(reads)]
    for summary in report.units[:: max(1, arch.top.units // 2)]:
        assert bool(summary.top_words) == bool(summary.bottom_words) == (arch.inputs == "tokens")
        place, column = divmod(summary.unit, arch.top.units)
        mine = [top[place] for top in opened]
        assert summary.direction == mine[0].direction
        for excerpts, sign in ((summary.rises, 1), (summary.falls, -1)):
            moved = [sign * (sign * gates.memory_changes()[:, column]).max() for gates in mine]
            expected = sorted((m for m in moved if sign * m > 0), key=lambda m: -sign * m)[:3]
            assert [excerpt.change for excerpt in excerpts] == pytest.approx(expected)
            for excerpt in excerpts:
                gates = mine[excerpt.row]
                assert gates.memory_changes()[excerpt.step, column] == pytest.approx(excerpt.change)
                assert excerpt.label == names_of(arch)[truth[excerpt.row]]
                if arch.max_length == 0:
                    assert excerpt.words[excerpt.place] == names[excerpt.row][excerpt.step]
        f = np.concatenate([gates.f[:, column] for gates in mine]).astype(np.float64)
        below, above = (f < 0.1).mean(), (f > 0.9).mean()
        assert summary.shares["f"] == pytest.approx((below, 1 - below - above, above))
        if arch.gate == "sigmoid":
            assert summary.half_life == pytest.approx(np.log(2) / -np.log(f).mean(), rel=1e-6)
        rest = net.with_lstm(parameters=without_unit(net.lstm, summary.unit)).logits(sequences)
        right = (rest.argmax(axis=1) if arch.outputs > 1 else (rest[:, 0] > 0).astype(int)) == truth
        assert summary.accuracy_ablated == pytest.approx(right.mean())


@pytest.mark.parametrize("name", ["plain", "bidirectional, mean"])
def test_top_and_bottom_words(name: str) -> None:
    net, report = net_of(name), report_of(name, words=2)
    sequences, _, _ = data_of(net)
    flat = np.concatenate([sequence.steps for sequence in sequences])
    opened = [run.lstms[-len(net.lstm.arch.top.directions) :] for run in net.lstm.activations(steps_of(sequences))]
    summary = report.units[-2]
    place, column = divmod(summary.unit, net.lstm.arch.top.units)
    for gate in "ifgoc":
        of_gate = [top[place].memory_changes() if gate == "c" else getattr(top[place], gate) for top in opened]
        values = np.concatenate([one[:, column] for one in of_gate])
        means = {f"word{t}": values[flat == t].mean() for t in set(flat.tolist()) if (flat == t).sum() >= 3 and t != 2}
        order = sorted(means, key=lambda word: means[word])
        assert [word.word for word in summary.bottom_words[gate]] == order[:2]
        assert [word.word for word in summary.top_words[gate]] == order[::-1][:2]
        assert summary.top_words[gate][0].mean == pytest.approx(means[order[-1]], abs=5.1e-5)
        assert summary.top_words[gate][0].count == (flat == int(order[-1].removeprefix("word"))).sum()


def test_a_summary_without_ablations_and_excerpts() -> None:
    net = net_of("plain")
    sequences, names, truth = data_of(net)
    report = units_over(net, sequences, names, truth, names_of(net.lstm.arch), excerpts=0, ablations=False)
    for one in report.units:
        assert one.accuracy_ablated is one.probability_change is None
        assert one.rises == one.falls == ()
    assert UnitsReport.from_bytes(report.to_bytes()) == report
    assert "otherwise" not in printed(units_report(report), unit_report(report, 1))


def test_report_round_trips_through_bytes() -> None:
    report = report_of("bidirectional")
    raw = report.to_bytes()
    assert UnitsReport.from_bytes(raw) == report
    assert UnitsReport.from_bytes(raw).unit(11) == report.units[11]
    assert_refused("unit must be from 0 to 11, not 12", report.unit, 12)
    for wrong in ({**json.loads(raw), "more": 1}, {**json.loads(raw), "n": "many"}, []):
        assert_refused(r"units\.json", UnitsReport.from_bytes, json.dumps(wrong).encode(), error=ModelFileError)
    hostile = dataclasses.replace(report, data="\x1b[2J <script>")
    assert UnitsReport.from_bytes(hostile.to_bytes()).data == "\x1b[2J <script>"


def test_empty_data_is_an_error() -> None:
    net = net_of("plain")
    assert_refused("the data set is empty", units_over, net, [], [], np.zeros(0, dtype=np.int64), ("a", "b"))


@pytest.mark.parametrize("name", sorted(set(NAMES).intersection(AS_GRAPHS)))
def test_the_units_of_a_graph_are_those_of_its_lstm(name: str) -> None:
    lstm, graph = both(AS_GRAPHS[name])
    reports = []
    for network in (lstm, graph):
        target = net_of(name).target
        net = Ensemble.of(network, target)
        sequences, names, truth = data_of(Ensemble.of(lstm, target))
        classes = names_of(lstm.arch)
        reports.append(units_over(net, sequences, names, truth, classes, minimum=3))
    of_lstm, of_graph = reports
    assert of_graph.accuracy == of_lstm.accuracy
    for expected, summary in zip(of_lstm.units, of_graph.units, strict=True):
        assert summary.direction == expected.direction
        assert summary.half_life == pytest.approx(expected.half_life, rel=1e-4)
        assert summary.probability_change == pytest.approx(expected.probability_change, abs=1e-5)
        for gate, shares in expected.shares.items():
            assert summary.shares[gate] == pytest.approx(shares, abs=1e-6)
        for side in ("rises", "falls"):
            changes = [[excerpt.change for excerpt in getattr(of, side)] for of in (expected, summary)]
            assert changes[1] == pytest.approx(changes[0], abs=1e-5)
        for words in ("top_words", "bottom_words"):
            for gate, listed in getattr(expected, words).items():
                means = [word.mean for word in getattr(summary, words)[gate]]
                assert means == pytest.approx([word.mean for word in listed], abs=2e-4)


@pytest.mark.parametrize("cell", ["GRU", "RNN"])
def test_the_units_of_other_cells_have_their_own_gates(cell: str) -> None:
    model = Model.of_graph(recurrent_classifier(cell))
    rng = np.random.default_rng(21)
    texts = [" ".join(map(str, rng.integers(0, 7, length))) for length in (9, 4, 14, 6)]
    labels = ["0", "2", "1", "0"]
    report = units_report_of(model, Labelled.of(texts, labels), minimum=2)
    traces = [model.trace(text) for text in texts]
    for unit, summary in enumerate(report.units):
        changes = [trace.lstms[0].memory_changes()[:, unit] for trace in traces]
        most = max(float(change.max()) for change in changes)
        assert summary.rises[0].change == pytest.approx(most, abs=1e-5)
        assert set(summary.top_words) == {"GRU": set("rznh"), "RNN": {"h"}}[cell]
        ids = np.concatenate([np.array(text.split(), dtype=int) for text in texts])
        means = {id: np.concatenate(changes)[ids == id].mean() for id in set(ids.tolist()) if (ids == id).sum() > 1}
        assert summary.top_words["h"][0].word == str(max(means, key=means.__getitem__))
        if cell == "RNN":
            assert (summary.half_life, summary.shares, summary.accuracy_ablated) == (0, {}, None)
            continue
        z = np.concatenate([trace.lstms[0].z[:, unit] for trace in traces])
        assert summary.half_life == pytest.approx(np.log(2) / -np.log(z).mean(), rel=1e-4)
        assert summary.shares["z"][2] == pytest.approx((z > 0.9).mean(), abs=1e-6)
        without = [model.intervene(text, ablate(unit, cell="GRU")) for text in texts]
        predicted = [int(change.before.logits.argmax()) for change in without]
        differences = [
            abs(softmax(change.after.logits)[best] - softmax(change.before.logits)[best])
            for change, best in zip(without, predicted, strict=True)
        ]
        assert summary.probability_change == pytest.approx(np.mean(differences), abs=1e-5)
        assert not without[0].after.lstms[0].h[:, unit].any()
    shown = printed(units_report(report), unit_report(report, 1))
    assert ("update z" in shown) == (cell == "GRU")
    assert "change of memory h" in shown


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def test_a_network_without_a_recurrent_layer_has_no_units() -> None:
    graph = attention_series()
    model = Model.of_graph(graph, classes=["a", "b"], task="classification")
    data = Labelled.of([np.ones((4, 3)), np.zeros((5, 3))], ["a", "b"])
    assert_refused("no recurrent layer", units_report_of, model, data)
    with pytest.raises(InputError, match="no gates"):
        ablate(1, cell="RNN")
