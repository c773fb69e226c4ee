"""`tune`: the best settings are found and reported as they are trained, searches continue, other data are refused."""

import itertools
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import InputError, MissingExtra, TrainingError
from gatewise.training import Interrupted, plan, recipe
from gatewise.training.stack import stack
from gatewise.tuning.trial_file import TrialFile
from gatewise.tuning.tune import Trial, TuneResult, check_search, default_search, tune, validation_loss
from tests.children import running
from tests.refusals import assert_refused
from tests.training.callbacks import InterruptAt
from tests.training.texts import made_reviews

FIXED: dict[str, Any] = {"epochs": 2, "embedding_dim": 4, "ngrams__order": 0, "batch_size": 16, "tokenization": "words"}
SEARCH: dict[str, Any] = {"units": [2, 3, 4], "learning_rate": (0.001, 0.05)}


def search(**changes: Any) -> TuneResult:
    given: dict[str, Any] = {"trials": 3, "search": SEARCH, "recipe": "fast", **FIXED, **changes}
    return tune(made_reviews(120, 0), **given)


def test_the_first_trial_has_the_recipes_values_and_the_best_one_wins(tmp_path: Path) -> None:
    seen: list[Trial] = []
    result = search(units=4, search={"learning_rate": (0.001, 0.05)}, on_trial=seen.append, out=tmp_path / "m")
    assert [trial.number for trial in seen] == [0, 1, 2]
    assert tuple(seen) == result.trials
    assert result.trials[0].settings == {"optimisation.learning_rate": 0.004}
    losses = [trial.loss for trial in result.trials if trial.loss is not None]
    assert len(losses) == 3
    assert result.loss == min(losses)
    assert result.recipe == recipe("fast", **FIXED, units=4, **result.settings)
    assert validation_loss(result.model) == pytest.approx(result.loss, rel=1e-6)
    assert np.array_equal(gw.load(tmp_path / "m").predict_proba(["a text"]), result.model.predict_proba(["a text"]))
    again = gw.train(made_reviews(120, 0), recipe=result.recipe)
    assert validation_loss(again) == pytest.approx(result.loss, rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            (0.0, 1.0),
            "search: optimisation.learning_rate, lstm.dropout_output did not change the loss of the best trial: its "
            "member lstm has weight 0, as in 2 of 2 trials; search fields of the other members, or leave these out",
        ),
        (
            (1.0, 0.0),
            "search: ngrams.l2 did not change the loss of the best trial: its member ngrams has weight 0, as in 2 of 2 "
            "trials; search fields of the other members, or leave these out",
        ),
        ((0.7, 0.4), None),
    ],
)
def test_fields_of_a_member_without_weight_are_named(
    weights: tuple[float, ...], message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weighted(*given: Any, **named: Any) -> Any:
        return stack(*given, **named)._replace(weights=np.array(weights))

    monkeypatch.setattr("gatewise.training.fit.stack", weighted)
    rates: dict[str, Any] = {"learning_rate": (0.001, 0.05), "dropout_output": (0.0, 0.2)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search(trials=2, ngrams__order=1, units=3, search={"ngrams.l2": [1.0, 4.0], **rates})
    found = [str(one.message) for one in caught if "did not change" in str(one.message)]
    assert found == ([] if message is None else [message])


def test_the_plan_is_bound_once_and_each_trial_runs_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial made a plan of its own: it converted the validation set and labelled texts by rules again."""
    calls: Counter[str] = Counter()

    def count(name: str) -> None:
        function = getattr(plan, name)
        monkeypatch.setattr(plan, name, lambda *given, **named: calls.update([name]) or function(*given, **named))

    for name in ("checked_seed", "_inputs_of", "_validation_of", "prepare"):
        count(name)
    rows, held_out = made_reviews(120, 0), made_reviews(40, 3)
    given: dict[str, Any] = {"search": {"units": (np.int64(2), np.int64(9))}, "recipe": "fast", **FIXED}
    result = tune(rows, trials=3, validation=held_out, **given)
    # Prepared for the binding, each of the three trials and the result.
    assert calls == {"checked_seed": 1, "_inputs_of": 1, "_validation_of": 1, "prepare": 5}
    for trial in result.trials:
        model = gw.train(rows, validation=held_out, recipe=recipe("fast", **FIXED, **trial.settings))
        assert validation_loss(model) == pytest.approx(trial.loss, rel=1e-6)


def test_values_that_do_not_fit_are_refused_before_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial that had one ended the search."""
    monkeypatch.setattr(plan.Training, "run", Mock(side_effect=AssertionError("a model is trained")))
    smaller = gw.load("tutorial")
    for changes, message in (
        (
            {"pretrained": smaller, "search": {"units": [100, 8]}},
            "cannot start a network of recipe .* with lstm.units 8",
        ),
        ({"ngrams__order": 0, "search": {"l2": (1.0, 8.0)}}, "search: ngrams.l2 is for the n-gram model"),
        ({"search": {"max_length": [0, 40], "windows": [9, 0]}}, "search: series.windows is for series"),
    ):
        given = {name: value for name, value in FIXED.items() if name not in ("ngrams__order", "embedding_dim")}
        with pytest.raises(InputError, match=message):
            tune(made_reviews(60, 0), trials=1, **{**given, **changes})


def test_a_search_takes_the_forms_of_data_that_train_takes() -> None:
    rows = made_reviews(120, 0)
    frame = pd.DataFrame({"text": rows.inputs, "label": [rows.classes[label] for label in rows.labels]})
    given: dict[str, Any] = {"trials": 2, "search": SEARCH, "recipe": "fast", **FIXED}
    by_split = tune({"train": frame[:80], "validation": frame[80:]}, **given)
    separate = tune(frame[:80], validation=frame[80:], **given)
    assert by_split.trials[1].loss == separate.trials[1].loss


def test_a_search_continues_from_its_file_and_refuses_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trials.jsonl"
    first = search(storage=file, trials=2)
    second = search(storage=file, trials=3)
    assert [trial.loss for trial in second.trials][:2] == [trial.loss for trial in first.trials]
    assert len(second.trials) == 3
    before = file.read_bytes()
    for changes in (
        {"seed": 1},
        {"units": 5, "search": {"learning_rate": (0.001, 0.05)}},
        {"search": {"units": [2, 3]}},
    ):
        assert_refused("trials of another search", search, storage=file, **changes)
    assert search(storage=file, trials=3).trials == second.trials
    other = made_reviews(121, 0)
    with pytest.raises(InputError, match="trials of another search"):
        tune(other, trials=3, search=SEARCH, recipe="fast", storage=file, **FIXED)
    assert file.read_bytes().startswith(before)
    with monkeypatch.context() as patched:
        patched.setattr("gatewise.tuning.trial_file.lock", Mock(side_effect=OSError("no locks")))
        with pytest.warns(RuntimeWarning, match=r"cannot be locked \(no locks\): start no second search"):
            TrialFile(file).append_logs([])
    # Another search that began at the same time: the first one has the file.
    entry = next(one for one in TrialFile(file).read_logs(0) if "user_attr" in one)
    TrialFile(file).append_logs([{**entry, "user_attr": {"identity": "another"}}])
    assert search(storage=file, trials=3).trials == second.trials


def test_a_search_is_that_of_its_rows_groups_weights_and_times(tmp_path: Path) -> None:
    """A long array is shown with an ellipsis, so that its text does not tell it from another."""
    n = 1200
    groups, weights, times = np.arange(n) // 2, np.ones(n), np.arange(n, dtype=float)
    rows = [f"a {'good' if k % 2 else 'bad'} film {k}" for k in range(n)]
    labels = ["yes" if k % 2 else "no" for k in range(n)]

    def run(number: int, by_group: bool, **changes: Any) -> None:
        given: dict[str, Any] = {"sample_weight": weights, **FIXED, "epochs": 1}
        given |= {"groups": groups} if by_group else {"times": times, "split": "time"}
        given |= changes
        tune(rows, labels, trials=1, search={"units": [2, 3]}, recipe="fast", storage=tmp_path / f"{number}", **given)

    for number, (name, array) in enumerate({"groups": groups, "sample_weight": weights, "times": times}.items()):
        run(number, name == "groups")
        other = array.copy()
        other[n // 2] += 1
        assert_refused("trials of another search", run, number, name == "groups", **{name: other})


@pytest.mark.parametrize("content", [b"no journal\n", b'{"op_code": 99}\n', b"[]\n" * 3, b"\xff\xfe\n{}\n"])
def test_a_file_that_holds_no_trials_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "trials.jsonl"
    file.write_bytes(content)
    assert_refused(r"trials\.jsonl' is not a file of trials", search, storage=file)
    assert_refused("is not a file of trials", search, storage=tmp_path)
    assert_refused("its folder does not exist", search, storage=tmp_path / "none" / "trials.jsonl")


def test_a_changed_line_is_found_and_a_cut_one_is_written_anew(tmp_path: Path) -> None:
    """A changed loss chose other settings; a cut last line ended every later run in a traceback."""
    file, copy = tmp_path / "trials.jsonl", tmp_path / "copy.jsonl"
    search(storage=file, trials=2)
    lines = file.read_bytes().splitlines(keepends=True)
    loss = next(n for n, line in enumerate(lines) if b'"values":[' in line)
    parameter = next(n for n, line in enumerate(lines) if b'"param_name"' in line)
    for changed, bad in (
        ([*lines[:loss], lines[loss].replace(b'"values":[', b'"values":[0'), *lines[loss + 1 :]], loss),
        ([*lines[:parameter], *lines[parameter + 1 :]], parameter),
        ([*lines[:loss], lines[loss][:40], *lines[loss + 1 :]], loss),
    ):
        copy.write_bytes(b"".join(changed))
        with pytest.raises(InputError, match=rf"copy\.jsonl': line {bad + 1} was changed or damaged, or one before it"):
            search(storage=copy, trials=3)
        assert copy.read_bytes() == b"".join(changed)
    copy.write_bytes(b"".join(lines)[:-20])
    assert len(search(storage=copy, trials=2).trials) >= 2
    assert len(search(storage=copy, trials=3).trials) >= 3
    copy.write_bytes(b"a text without an end")
    assert_refused("is not a file of trials", search, storage=copy)
    assert copy.read_bytes() == b"a text without an end"


def test_a_recorded_search_trains_the_best_model_on_from_its_checkpoint(tmp_path: Path) -> None:
    file, out = tmp_path / "trials.jsonl", tmp_path / "m"
    whole = search(storage=file, out=tmp_path / "whole")
    with pytest.raises(Interrupted, match="the model so far"):
        gw.train(made_reviews(120, 0), recipe=whole.recipe, out=out, callbacks=InterruptAt(1, 3), seed=0)
    assert_refused("holds an unfinished run", search, out=out)
    continued = search(storage=file, out=out).model
    assert continued.metadata.epochs == FIXED["epochs"]
    assert not (tmp_path / "m.run").exists()
    for name, array in whole.model.parameters.items():
        assert np.array_equal(continued.parameters[name], array)
    assert_refused("finished model", search, storage=file, out=out)


PROCESS = """
import sys
from tests.tuning.test_tune import search
print(len(search(storage=sys.argv[1], trials=4).trials))
"""


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "trials.jsonl")]
    with (
        running(command, stdout=subprocess.PIPE, text=True) as one,
        running(command, stdout=subprocess.PIPE, text=True) as other,
    ):
        counts = [int(process.communicate()[0]) for process in (one, other)]
    assert min(counts) >= 4
    result = search(storage=tmp_path / "trials.jsonl", trials=4)
    assert len(result.trials) in (4, 5), "a trial that runs when the last one is finished is finished too"
    assert len({trial.number for trial in result.trials}) == len(result.trials)


@pytest.mark.parametrize("seconds", [0.0001, 0.02])
def test_ctrl_c_keeps_the_finished_trials(tmp_path: Path, seconds: float) -> None:
    def press(trial: Trial) -> None:
        if trial.number == 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(Interrupted, match=r"stopped after \d+ trial"):
            search(storage=tmp_path / "trials.jsonl", trials=500, on_trial=press)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    kept = search(storage=tmp_path / "trials.jsonl", trials=1).trials
    states = [trial.state for trial in kept]
    assert states[0] == "complete"
    assert "failed" not in states[:-1], "one trial was running"


def test_the_time_limit_stops_a_running_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 10 ms whenever it is read."""
    clock = itertools.count()
    monkeypatch.setattr("gatewise.tuning.tune.time", SimpleNamespace(monotonic=lambda: next(clock) / 100))
    result = search(trials=1000, minutes=0.02)
    assert 1 < len(result.trials) < 1000
    assert result.trials[0].state == "complete"
    assert_refused("none of 1 trial was finished", search, minutes=0.0002, error=TrainingError)


def test_a_bad_trial_is_stopped_early() -> None:
    result = search(trials=12, epochs=4, search={"learning_rate": [0.01, 0.02, 1e-6, 2e-6, 3e-6]}, units=4)
    states = {trial.settings["optimisation.learning_rate"]: trial.state for trial in result.trials[6:]}
    assert "stopped early" in states.values()
    assert all(trial.loss is None for trial in result.trials if trial.state == "stopped early")
    assert result.settings["optimisation.learning_rate"] in (0.01, 0.02)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        *((option, next(iter(option))) for option in ({"trials": 0}, {"trials": 2.5}, {"minutes": 0}, {"trial": 3})),
        ({"minutes": float("nan")}, "minutes"),
        ({"search": {}}, "names no field"),
        ({"search": {"unit": [2, 3]}}, "a recipe has no 'unit'; did you mean 'units'"),
        ({"search": {"units": [2]}}, "units needs a range"),
        ({"search": {"units": "23"}}, "units needs a range"),
        ({"search": {"units": (8, 4)}}, "low below high"),
        ({"search": {"units": (1, 2, 3)}}, "a range is"),
        ({"search": {"learning_rate": (0.0, 0.1)}}, "search: optimisation.learning_rate"),
        ({"search": {"pooling": ["last", "middle"]}}, "search: lstm.pooling"),
        ({"search": {"epochs": [1, 2]}}, "epochs is set to 2"),
        ({"search": {"fraction": (0.1, 0.3)}}, "validation.fraction cuts another validation set"),
        ({"search": {"split": ["row", "group"]}}, "validation.split cuts another validation set"),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], message: str) -> None:
    assert_refused(message, search, **option)


@pytest.mark.parametrize("name", ["fast", "finetune", "frozen", "series", "tutorial"])
def test_the_default_search_fits_the_recipe(name: str) -> None:
    base, pretrained = recipe(name), name in ("finetune", "frozen")
    kind: Any = "series" if name == "series" else "text"
    space = default_search(base, kind, pretrained)
    check_search(space, base, {})
    assert ("lstm.units" in space) != pretrained
    assert ("ngrams.l2" in space) == (base.ngrams.order > 0)


def test_without_optuna_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert_refused(r"pip install 'gatewise\[tune\]'", search, error=MissingExtra)
