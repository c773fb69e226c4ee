"""`gatewise tune`: a table of trials, a command that trains the best one, and one line for bad values."""

import io
import json
import shlex
from pathlib import Path

import pytest

import gatewise as gw
from gatewise.cli.tune import _print_trial, parsed_search
from gatewise.errors import InputError
from gatewise.training.tune import Trial
from tests.cli.conftest import Run

SMALL = ("--set", "epochs=1", "--set", "ngrams.order=0", "--set", "embedding_dim=4", "--search", "units=2,3")


def test_the_command_that_it_prints_trains_the_best_trial(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    table = (reviews_csv, "--text", "review", "--label", "sentiment")
    storage = tmp_path / "trials.jsonl"
    result = run("tune", *table, "--trials", 2, *SMALL, "--storage", storage, "-o", tmp_path / "tuned")
    assert result.exit_code == 0, result.output
    assert "2 trials, 2 complete; the best:" in result.stdout
    assert gw.load(tmp_path / "tuned").metadata.command.startswith("gatewise tune ")
    again = run("tune", *table, "--trials", 2, *SMALL, "--storage", storage, "--json")
    found = json.loads(again.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 2
    printed = run("tune", *table, "--trials", 2, *SMALL, "--storage", storage)
    words = shlex.split(printed.stdout.splitlines()[-1])
    assert words[:2] == ["gatewise", "train"]
    trained = run(*[str(tmp_path / "m") if word == "DIR" else word for word in words[1:]])
    assert trained.exit_code == 0, trained.output
    model = gw.load(tmp_path / "m")
    assert model.architecture.top.units == found["settings"]["lstm.units"]
    assert model.metadata.evaluations[0].loss == pytest.approx(gw.load(tmp_path / "tuned").metadata.evaluations[0].loss)


def test_a_search_goes_on_where_its_output_has_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stdout.write", closed)
    _print_trial(Trial(1, {"units": 2}, 0.5, "complete", 1.0))


def test_ranges_and_lists() -> None:
    assert parsed_search(["learning-rate=0.001..0.01", "units=32,64", "pooling=last, mean"]) == {
        "optimisation.learning_rate": (0.001, 0.01),
        "lstm.units": [32, 64],
        "lstm.pooling": ["last", "mean"],
    }
    for given in (["units"], ["units=3"], ["units=1..x"], ["units=2,3", "units=4,5"], ["what=1,2"], ["=1,2"]):
        with pytest.raises(InputError, match="--search"):
            parsed_search(given)
