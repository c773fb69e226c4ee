"""Training in two processes gives the weights of one; errors, stops and deaths of one process reach the other."""

import os
import pickle
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import kernels
from gatewise.errors import InputError
from gatewise.network.autograd import RowGradient
from gatewise.network.language_model import DIRECTIONS, LanguageModel
from gatewise.network.trainable import Gradients
from gatewise.training import Callback, Interrupted
from gatewise.training.callback import StepLog
from gatewise.training.language_loop import LanguageLoop
from gatewise.training.loop import Loop
from gatewise.training.pretrain import _initial_parameters
from gatewise.training.pretrain_recipes import PretrainRecipe
from gatewise.training.processes import Communicator, GlooCommunicator, PeerError, current, process_group
from gatewise.types import Array
from tests.children import run_child
from tests.training.callbacks import Recorder
from tests.training.processes import run_function, run_processes
from tests.training.test_optim import NO_DROPOUT, SMALL, TEXT, Case, loop_of
from tests.training.texts import RULES, made_reviews, rated_texts

Results = list[dict[str, dict[str, Any]]]
HERE = "tests.training.test_distributed"
# 144 rows are trained on: the last batch of 13 has one row, and the second process none of it.
CASES = {
    "texts": Case("fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "grad_clip": 0.05, "batch_size": 13}),
    "adversarial": Case("fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "adversarial": 0.02, "batch_size": 48}),
    "tutorial": Case("tutorial", {**TEXT, "max_length": 60, "batch_size": 13}),
    "series": Case("series", {**SMALL, "dropout_output": 0.0, "folds": 0, "batch_size": 13}),
}
SETTINGS: dict[str, Any] = {"units": 6, "embedding_dim": 5, "epochs": 4, "batch_size": 16, "verbose": 0}
LM = PretrainRecipe(
    "small", epochs=0.5, embedding_dim=6, units=8, batch_size=5, bptt=6, dropout_word=0, dropout_output=0
)
PRETRAINING = {"pretraining": 8, "word embeddings": 0}  # units
# Shape of a table, and how many of its rows each process has read: few are sent by row, many as the whole table.
TABLES = {"few": ((400, 3), (4, 9)), "many": ((20, 3), (19, 20)), "none": ((9, 2), (0, 0)), "one": ((9, 2), (0, 3))}


def trained_steps(name: str) -> dict[str, Array]:
    """The weights after an epoch, and its loss."""
    loop = loop_of(CASES[name])
    for step in range(loop.steps_per_epoch):
        loop.train_step(step)
    return {**loop.state(), "loss": np.array(loop.progress.loss_sum), "correct": np.array(loop.progress.correct)}


def pretrained_steps(units: int) -> dict[str, Array]:
    """The weights after pretraining, the states of all streams and the perplexities."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, 90, int(n)).astype(np.int32) for n in rng.integers(5, 60, 60)]
    settings = replace(LM, units=units)
    start = _initial_parameters(100, settings, texts, np.random.default_rng(1))
    network = LanguageModel(start, kernels.get())
    loop = LanguageLoop(network, settings, texts[:55], texts[55:], 0)
    assert loop.run(threading.Event())
    states = {f"h/{one}": current().gather_rows(loop.carried[f"h/{one}"]) for one in DIRECTIONS}
    perplexity = np.array(list(loop.progress.history[-1].perplexity.values()))
    return {**loop.result(), **states, "perplexity": perplexity}


def gradients_of_rank(rank: int) -> Gradients:
    rng = np.random.default_rng(rank)
    made: Gradients = {"weight": rng.standard_normal((3, 4)), "bias": rng.standard_normal(5)}
    for name, (shape, counts) in TABLES.items():
        rows = np.sort(rng.choice(shape[0], counts[rank], replace=False))
        made[name] = RowGradient(rows, rng.standard_normal((counts[rank], shape[1])))
    return made


def in_each_process(folder: str) -> None:
    """Everything that the tests below look at: results by group and name in FOLDER/RANK."""
    with process_group() as communicator:
        assert isinstance(communicator, GlooCommunicator)
        rank = communicator.rank
        found: dict[str, dict[str, Any]] = {name: trained_steps(name) for name in CASES}
        found |= {name: pretrained_steps(units) for name, units in PRETRAINING.items()}
        shapes = {name: np.zeros(shape) for name, (shape, _) in TABLES.items()}
        told = {"loss": 2.0 + rank, "stop": rank}
        total, numbers = communicator.sum(gradients_of_rank(rank), shapes, (0.25, 0.75)[rank], told)
        found["exchange"] = {**total, "numbers": numbers}
        part = communicator.own_rows(np.arange(7))
        found["rows"] = {"part": part, "whole": communicator.gather_rows(part)}
        found["rows"]["one"] = communicator.gather_rows(communicator.own_rows(np.arange(3.0)[:1, None]))
        found["rows"]["first"] = communicator.broadcast(b"ab" if rank == 0 else b"")
        model = gw.train(made_reviews(200, 3), **SETTINGS, out=Path(folder, "model"))
        # Both processes return the model of the first one.
        communicator.check_equal({"logits": model.logits(["word1 fine dull"])}, "after training")
        assert model.ensemble.others
        texts = {"unlabelled": rated_texts(60, 5), "rules": RULES}
        by_rules = gw.train(made_reviews(60, 3), **texts, **SETTINGS)
        communicator.check_equal({"logits": by_rules.logits(["word1 fine dull"])}, "after training with rules")
        try:
            with communicator.together():
                if rank == 1:
                    raise InputError("a row is bad")
                communicator.exchange()
        except (InputError, PeerError) as error:
            found["error"] = {"text": f"{type(error).__name__}: {error}"}
    Path(folder, str(rank)).write_bytes(pickle.dumps(found))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    run_function(f"{HERE}.in_each_process", str(folder))
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    """What `in_each_process` found, by rank."""
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)]


@pytest.mark.parametrize("name", [*CASES, *PRETRAINING])
def test_two_processes_give_the_weights_of_one(results: Results, name: str) -> None:
    units = PRETRAINING.get(name)
    expected = trained_steps(name) if units is None else pretrained_steps(units)
    first, second = (one[name] for one in results)
    assert first.keys() == second.keys() == expected.keys()
    for key, value in expected.items():
        assert first[key].dtype == value.dtype
        assert first[key].tobytes() == second[key].tobytes(), f"{key} differs between the processes"
        scale = float(np.abs(value).max(initial=1.0))
        np.testing.assert_allclose(first[key] / scale, value / scale, rtol=0, atol=1e-6, err_msg=key)


def test_gradients_are_summed_by_the_share_of_the_rows(results: Results) -> None:
    a, b = gradients_of_rank(0), gradients_of_rank(1)
    for found in (one["exchange"] for one in results):
        for name in ("weight", "bias"):
            np.testing.assert_allclose(found[name], 0.25 * np.asarray(a[name]) + 0.75 * np.asarray(b[name]), rtol=1e-12)
        for name, (shape, _) in TABLES.items():
            expected = np.zeros(shape)
            for weight, gradient in ((0.25, a[name]), (0.75, b[name])):
                expected[gradient.rows] += weight * gradient.values
            table = np.zeros(shape)
            table[found[name].rows] = found[name].values
            np.testing.assert_allclose(table, expected, rtol=1e-12)
            read = {*a[name].rows, *b[name].rows}  # type: ignore[union-attr]
            assert found[name].rows.tolist() == sorted(read)
        assert found["numbers"] == {"loss": 2 + 3, "stop": 1}


def test_rows_bytes_and_errors(results: Results) -> None:
    assert [one["rows"]["part"].tolist() for one in results] == [[0, 2, 4, 6], [1, 3, 5]]
    for one in results:
        assert one["rows"]["whole"].tolist() == list(range(7))
        assert one["rows"]["one"].tolist() == [[0.0]], "the second process has no row"
        assert one["rows"]["first"] == b"ab"
    errors = [one["error"]["text"] for one in results]
    assert errors == ["PeerError: process 1: a row is bad", "InputError: a row is bad"]


class Killer(Callback):
    """Ends the first process at its 20th step, unless torchrun has started it again."""

    steps = 0

    def on_step_end(self, step: StepLog) -> None:
        self.steps += 1
        if self.steps == 20 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(folder: str) -> None:
    with process_group():
        model = gw.train(made_reviews(200, 3), **SETTINGS, out=folder, callbacks=Killer())
        assert model.to_files().keys() == gw.load(folder).to_files().keys()


def test_a_process_that_dies_is_started_again_and_the_run_resumed(folder: Path, tmp_path: Path) -> None:
    """With the bits of a run in which none died: the folder of the model, apart from its times."""
    code = f"import sys, {HERE} as test; test.train_and_die(sys.argv[1])"
    script = tmp_path / "script.py"
    script.write_text(code)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = run_child([sys.executable, *torchrun, script, tmp_path / "died"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "Signal 9 (SIGKILL)" in done.stderr or "exitcode: -9" in done.stderr
    peace, died = gw.load(folder / "model"), gw.load(tmp_path / "died")
    for name, value in peace.parameters.items():
        assert died.parameters[name].tobytes() == value.tobytes(), name
    assert not (tmp_path / "died.run").exists()


def train_and_stop(folder: str) -> None:
    """Ctrl-C reaches the second process alone, in its 10th step; both stop after it, and the run is resumed."""
    with process_group() as communicator:
        train_step = Loop.train_step

        def interrupted_step(loop: Loop[Any], step: int) -> None:
            if communicator.rank == 1 and step == 9:
                signal.raise_signal(signal.SIGINT)
            train_step(loop, step)

        Loop.train_step = interrupted_step  # type: ignore[method-assign]
        with pytest.raises(Interrupted, match=r"^stopped in epoch 1 of 4"):
            gw.train(made_reviews(200, 3), **SETTINGS, out=folder)
        Loop.train_step = train_step  # type: ignore[method-assign]
        recorder = Recorder()
        gw.train(made_reviews(200, 3), **SETTINGS, out=folder, resume=True, callbacks=recorder)
        assert [step.step for step in recorder.steps[:1]] == ([] if communicator.rank else [11])


def test_a_signal_to_one_process_stops_all_after_the_same_step(folder: Path, tmp_path: Path) -> None:
    """With the bits of a run that no signal stopped."""
    run_function(f"{HERE}.train_and_stop", str(tmp_path / "stopped"))
    whole, stopped = gw.load(folder / "model"), gw.load(tmp_path / "stopped")
    for name, value in whole.parameters.items():
        assert stopped.parameters[name].tobytes() == value.tobytes(), name


def test_the_command_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    data = made_reviews(120, 3)
    rows = [f'{text},"{data.classes[label]}"\n' for text, label in zip(data.inputs, data.labels, strict=True)]
    Path("rows.csv").write_text("text,label\n" + "".join(rows) + "no label\n")
    options = ("--skip-bad-rows", "bad.csv", "--set", "ngrams.order=0", "--epochs", "1", "-o", "model")
    train = ["-m", "gatewise", "train", "rows.csv", *options]
    first, second = run_processes(train)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert ", 2 processes" in first.stdout
    assert "saved to model" in first.stdout
    assert "gatewise: warning: 1 bad row of 121 skipped: see 'bad.csv'" in first.stderr
    assert second.stdout == second.stderr == ""
    assert "rows.csv,122," in Path("bad.csv").read_text()
    assert sorted(os.listdir()) == ["bad.csv", "model", "rows.csv"]
    first, second = run_processes(train)  # the first process refuses; the second one says nothing
    assert (first.returncode, second.returncode) == (2, 2)
    assert first.stderr.splitlines()[-1].startswith("gatewise: 'model' exists")
    assert not [line for line in second.stderr.splitlines() if line.startswith("gatewise: process")]


def test_fewer_streams_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [np.arange(2, 12, dtype=np.int32)] * 4
    network = LanguageModel(_initial_parameters(20, LM, texts, np.random.default_rng(1)), kernels.get())
    two = Communicator()
    two.size = 2
    monkeypatch.setattr("gatewise.training.loop.current", lambda: two)
    with pytest.raises(InputError, match="1 stream of text for 2 processes"):
        LanguageLoop(network, replace(LM, bptt=12), texts, [], 0)
