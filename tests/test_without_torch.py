"""Everything but `gatewise.nn` runs where torch cannot be imported; an import without its extra names the extra.

`gatewise.nn` sets OMP_WAIT_POLICY before torch reads it.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.children import run_child

ROOT = Path(__file__).resolve().parents[1]
# An import of torch ends it, also where an ImportError would be caught.
SCRIPT = """
import csv, sys, warnings

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise BaseException("torch is imported")

sys.meta_path.insert(0, Blocker())
warnings.simplefilter("ignore")
import numpy as np
import gatewise as gw
from gatewise.cli import program
from gatewise.sklearn import LSTMSeriesClassifier, LSTMSeriesRegressor, LSTMTextClassifier, LSTMTextRegressor
from gatewise.training import RECIPES, PretrainRecipe
from tests.training.texts import made_reviews

EPOCH = {"epochs": 1, "min_steps": 0, "seed": 1}
SIZE, SERIES = {"units": 5, "embedding_dim": 4}, {"units": 3, "folds": 2, "features": 168}
data, more = made_reviews(90, 1), list(made_reviews(60, 2).inputs)
texts, labels, numbers = list(data.inputs), [data.classes[k] for k in data.labels], np.arange(90) / 7
rng = np.random.default_rng(3)
series = [rng.standard_normal((int(n), 2)).astype(np.float32) for n in rng.integers(12, 20, 40)]
kinds, words = ["ab"[n % 2] for n in range(40)], [one.split() for one in texts]

recipe = PretrainRecipe("tiny", 6, 7, vocab_size=60, epochs=1, batch_size=8, bptt=9, num_sampled=16)
gw.pretrain([*texts, *more], recipe=recipe, seed=2, out="pretrained")
given = {name: (texts, labels, SIZE) for name in ("fast", "lstm")}
given |= {"series": (series, kinds, SERIES), "forecast": (series, kinds, {})}
given["tutorial"] = texts, labels, {"max_length": 50, **SIZE}
given["tagging"] = words, [["ab"[len(word) > 4] for word in one] for one in words], {"task": "tagging", **SIZE}
finetuned = texts, labels, {"pretrained": "pretrained", "unlabelled": more, "lsa_components": 4}
for name in RECIPES:
    inputs, wanted, changes = given.get(name, finetuned)
    model = gw.train(inputs, wanted, recipe=name, out=name, **EPOCH, **changes)
    assert len(model.predict(inputs[:2])) == 2
gw.train(texts, [[label, "all"] for label in labels], task="multilabel", **SIZE, **EPOCH)
gw.Forecaster.fit(np.sin(np.arange(60.0)), horizon=2).predict()
for estimator, x, y in (
    (LSTMTextClassifier(epochs=1, **SIZE), texts, labels),
    (LSTMTextRegressor(epochs=1, **SIZE), texts, numbers),
    (LSTMSeriesClassifier(epochs=1, **SERIES), series, kinds),
    (LSTMSeriesRegressor(epochs=1, **SERIES), series, numbers[:40]),
):
    assert len(estimator.fit(x, y).predict(x[:3])) == 3
with open("reviews.csv", "w", newline="") as file:
    csv.writer(file).writerows([("text", "label"), *zip(texts, labels)])
for command in ("compress -m fast -o small --data", "evaluate -m small", "data"):
    program([*command.split(), "reviews.csv"], standalone_mode=False)
program(["explain", "-m", "small", texts[0]], standalone_mode=False)
"""


@pytest.mark.slow
def test_all_but_nn_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{SCRIPT}"]
    done = run_child(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


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


def test_without_its_extra() -> None:
    for words, given, printed in (
        (["gatewise.nn"], {}, ["PASSIVE", TORCH]),
        (["gatewise.nn"], {"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", TORCH]),
        (["gatewise.training", "scipy"], {}, [SCIPY]),
        (["gatewise.training", "threadpoolctl"], {}, [SCIPY]),
    ):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
        command = [sys.executable, "-c", BLOCKED, *words]
        done = run_child(command, env=environment, check=True)
        assert done.stdout.splitlines() == printed
