"""Progress in Python: when it is shown, callbacks, a notebook's cell, and the callback of TensorBoard."""

import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

import gatewise as gw
from gatewise.errors import MissingExtra
from gatewise.mlflow import MLflowCallback
from gatewise.model.model import Model
from gatewise.training import Callback, Interrupted
from gatewise.training.progress import TensorBoardCallback
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"recipe": "fast", "epochs": 2, "units": 3, "embedding_dim": 4, "ngrams__order": 0}


def test_auto_is_silent_where_nobody_watches_and_2_prints_lines(capsys: pytest.CaptureFixture[str]) -> None:
    gw.train(made_reviews(60, 3), **SMALL)
    assert capsys.readouterr() == ("", "")
    model = gw.train(made_reviews(60, 3), verbose=2, **SMALL)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[0] == "data        60 made reviews"
    assert [line.split()[0] for line in lines if line.split()[:1] in (["1"], ["2"])] == ["1", "2"]
    total = sum(array.size for array in model.parameters.values())
    assert ["total", f"{total:,}"] in [line.split() for line in lines]
    assert lines[-1].startswith("kept epoch ")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    gw.train(made_reviews(60, 3), **SMALL)
    assert "epoch 1/2" in capsys.readouterr().err
    gw.train(made_reviews(60, 3), verbose=0, **SMALL)
    assert capsys.readouterr().err == ""


def test_several_callbacks_are_told_and_closed() -> None:
    both = [Mock(spec=Callback), Mock(spec=Callback)]
    model = gw.train(made_reviews(60, 3), callbacks=both, **SMALL)
    for one in both:
        [begin] = one.on_train_begin.call_args_list
        assert [end.args[0].epoch for end in one.on_epoch_end.call_args_list] == [1, 2]
        assert one.on_step_end.call_count == 2 * begin.args[0].steps_per_epoch
        assert (one.on_train_end.call_count, one.close.call_count) == (1, 1)
    assert model.metadata.epochs == 2
    stopped = [Mock(spec=Callback), Mock(spec=Callback)]
    stopped[1].on_step_end.side_effect = lambda step: signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        gw.train(made_reviews(60, 3), callbacks=stopped, **SMALL)
    assert [(one.on_train_end.call_count, one.close.call_count) for one in stopped] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"verbose": 3}, "verbose must be 'auto', 0, 1 or 2, not '3'"),
        ({"verbose": "yes"}, "verbose must be 'auto', 0, 1 or 2, not 'yes'"),
        ({"callbacks": [print]}, "callbacks must be instances of gatewise.training.Callback, not 'print'"),
        ({"callbacks": Recorder}, "callbacks must be instances of gatewise.training.Callback, not 'Recorder'"),
        ({"callback": Callback()}, "a recipe has no 'callback'; did you mean 'callbacks'?"),
    ],
)
def test_wrong_callbacks(options: dict[str, Any], message: str) -> None:
    assert_refused("^" + re.escape(message), gw.train, made_reviews(60, 3), **SMALL | options)


def test_a_notebook_updates_one_output_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown.append(content["text/plain"])
        return SimpleNamespace(update=lambda content, raw: shown.append(content["text/plain"]))

    shell = type("ZMQInteractiveShell", (), {})  # as the shell of a notebook's kernel is called
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    model: Model = gw.train(made_reviews(60, 3), **SMALL)
    assert any("epoch 1/2, step " in one for one in shown)
    last = shown[-1].splitlines()
    assert last[0] == "data        60 made reviews"
    assert not any("step " in line for line in last)
    assert f"kept epoch {model.metadata.best_epoch} (lowest val_loss " in last[-1]
    count = len(shown)
    gw.train(made_reviews(60, 3), verbose=0, **SMALL)
    assert len(shown) == count


def test_tensorboard_has_the_history(tmp_path: Path) -> None:
    model = gw.train(made_reviews(80, 0), callbacks=TensorBoardCallback(tmp_path), **SMALL)
    found = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator").EventAccumulator(
        str(tmp_path)
    )
    found.Reload()
    number = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "seconds"):
        events = [(one.step, float(number(one.tensor_proto))) for one in found.Tensors(name)]
        assert events == [(row["epoch"], pytest.approx(row[name], rel=1e-5)) for row in model.history]


@pytest.mark.parametrize(
    ("module", "make"),
    [("tensorboard.summary", lambda: TensorBoardCallback("runs")), ("mlflow", MLflowCallback)],
)
def test_the_message_names_the_extra(module: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert_refused(rf"pip install 'gatewise\[{module.split('.')[0]}\]'", make, error=MissingExtra)
