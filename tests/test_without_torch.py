"""Everything but `gatewise.nn` runs where torch cannot be imported; an import without its extra names the extra.

`gatewise.nn` sets OMP_WAIT_POLICY before torch reads it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewise.training import RECIPES

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["pretrain", *RECIPES, "multilabel", "regression", "Forecaster"]
PARTS += ["compress", "evaluate", "explain", "estimators"]

# Prints {part: error} at the end, "" for a part that runs.
SCRIPT = """
import csv, json, sys, traceback, warnings

tried = []

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            tried.append("".join(traceback.format_stack()))
            raise ImportError("torch is blocked")

sys.meta_path.insert(0, Blocker())
warnings.simplefilter("ignore")
sys.stdout = sys.stderr  # the commands print
import numpy as np
import gatewise as gw
from gatewise.cli import program
from gatewise.training import RECIPES, PretrainRecipe
from tests.training.texts import made_reviews

EPOCH = {"epochs": 1, "min_steps": 0, "seed": 1}
SIZE, SERIES = {"units": 5, "embedding_dim": 4}, {"units": 3, "folds": 2, "convolutions__features": 168}
found, data = {}, made_reviews(90, 1)
texts, labels = list(data.inputs), [data.classes[k] for k in data.labels]
more = list(made_reviews(60, 2).inputs)
rng = np.random.default_rng(3)
series = [rng.standard_normal((int(n), 2)).astype(np.float32) for n in rng.integers(12, 20, 40)]
kinds = ["ab"[n % 2] for n in range(40)]
with open("reviews.csv", "w", newline="") as file:
    csv.writer(file).writerows([("text", "label"), *zip(texts, labels)])

def run(name, part):
    try:
        part()
        found[name] = ""
    except BaseException:
        found[name] = traceback.format_exc()

def pretrain():
    recipe = PretrainRecipe("tiny", 6, 7, vocab_size=60, epochs=1, batch_size=8, bptt=9, num_sampled=16)
    gw.pretrain([*texts, *more], recipe=recipe, seed=2, out="pretrained")

def train(name):
    changes = {"series": SERIES, "forecast": {}, "tutorial": {"max_length": 50, **SIZE}}.get(name)
    if name in ("fast", "lstm", "tagging"):
        changes = SIZE
    if changes is None:
        changes = {"pretrained": "pretrained", "unlabelled": more, "lsa_components": 4}
    given = (series, kinds) if name in ("series", "forecast") else (texts, labels)
    if name == "tagging":
        words = [one.split() for one in texts]
        given, changes = (words, [["ab"[len(word) > 4] for word in one] for one in words]), {"task": "tagging", **SIZE}
    model = gw.train(*given, recipe=name, out=name, **EPOCH, **changes)
    assert model.predict(given[0][:2]).shape == (2,)

def estimators():
    from gatewise.sklearn import LSTMSeriesClassifier, LSTMSeriesRegressor, LSTMTextClassifier, LSTMTextRegressor
    numbers = np.arange(len(texts)) / 7
    for estimator, x, y in (
        (LSTMTextClassifier(epochs=1, **SIZE), texts, labels),
        (LSTMTextRegressor(epochs=1, **SIZE), texts, numbers),
        (LSTMSeriesClassifier(epochs=1, **SERIES), series, kinds),
        (LSTMSeriesRegressor(epochs=1, **SERIES), series, numbers[:40]),
    ):
        assert len(estimator.fit(x, y).predict(x[:3])) == 3

def command(*words):
    program([*words], standalone_mode=False)

run("pretrain", pretrain)
for name in RECIPES:
    run(name, lambda: train(name))
run("multilabel", lambda: gw.train(texts, [[label, "all"] for label in labels], task="multilabel", **SIZE, **EPOCH))
run("regression", lambda: gw.train(texts, np.arange(len(texts)) / 7, task="regression", **SIZE, **EPOCH))
run("Forecaster", lambda: gw.Forecaster.fit(np.sin(np.arange(60.0)), horizon=2).predict())
run("compress", lambda: command("compress", "-m", "fast", "-o", "small", "--data", "reviews.csv"))
run("evaluate", lambda: command("evaluate", "-m", "small", "reviews.csv"))
run("explain", lambda: command("explain", "-m", "small", texts[0]))
run("estimators", estimators)
found["tried"] = tried
print(json.dumps(found), file=sys.__stdout__)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{SCRIPT}"]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("here"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("part", PARTS)
def test_it_runs(found: dict[str, Any], part: str) -> None:
    assert not found[part], found[part]


def test_nothing_tries_to_import_torch(found: dict[str, Any]) -> None:
    assert not found["tried"], found["tried"][0]


BLOCKED = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise ImportError("blocked")

sys.meta_path.insert(0, Blocker())
sys.modules |= dict.fromkeys(sys.argv[2:])
try:
    __import__(sys.argv[1])
except ImportError as error:
    print(type(error).__name__, error)
"""
TORCH = "MissingExtra gatewise.nn needs torch: pip install 'gatewise[torch]'"
SCIPY = "MissingExtra training needs SciPy and threadpoolctl: pip install 'gatewise[train]'"


@pytest.mark.parametrize(
    ("words", "given", "printed"),
    [
        (["gatewise.nn"], {}, ["PASSIVE", TORCH]),
        (["gatewise.nn"], {"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", TORCH]),
        (["gatewise.training", "scipy"], {}, [SCIPY]),
        (["gatewise.training", "threadpoolctl"], {}, [SCIPY]),
    ],
)
def test_without_its_extra(words: list[str], given: dict[str, str], printed: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    command = [sys.executable, "-c", BLOCKED, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == printed
