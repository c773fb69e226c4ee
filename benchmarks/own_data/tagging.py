"""A label per step of texts with the default recipe, compared with a CRF of crfsuite and BiLSTMs of PyTorch in the same
run.

    python -m benchmarks.own_data.tagging --peers VENV --data FOLDER [--rows 100 500 2500] [--only NAME ...] [--tune]

FOLDER has the source packages of `tagging_sets`. VENV is a virtual environment with sklearn-crfsuite.
The first rows of the training part are learned from. With --tune the test part is not read: the
training part is cut again, for the choice of settings.

Each run has a process of its own. Figures, means over the seeds:

| | |
|---|---|
| token | accuracy of the steps |
| entity | F1 of the entities, counted as by `TaggingEvaluation`. A label that is no IOB2 names an entity by its runs |
| row | rows whose labels are all right |
| ECE | expected calibration error of the most probable label of each step, by its marginal, 15 bins |
| CPU s | of the fit, with all threads |
| labels/s | steps predicted per CPU second, marginals included |
| MB | peak memory (RSS) of the process |
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders.base import Arrays
from benchmarks.machine import ROOT, cores, machine, now, revision
from benchmarks.own_data.tagging_sets import PARTS_OF_SPEECH, SETS, Row
from benchmarks.worker import Worker, python_with
from gatewise.metrics import entity_scores, reliability

CONTENDERS = {
    "gatewise": ("gatewise_tagger", "tagger", None),
    "crf": ("crfsuite", "tagger", "sklearn_crfsuite"),
    "bilstm": ("torch_tagger", "tagger", "torch"),
    "bilstm-crf": ("torch_tagger", "crf-tagger", "torch"),
}
"""By name the module in benchmarks/contenders, its task, and the library that its environment needs."""
SEEDLESS = ("crf",)  # convex: measured once
RESULTS = ROOT / "benchmarks" / "results" / "own_data_tagging.json"
FIGURES = ("token", "entity", "row", "ece", "cpu_seconds", "labels_per_second", "peak_mb")


def arrays_of(train: Sequence[Row], test: Sequence[Row]) -> Arrays:
    """For `tagger_task`."""
    return {
        "words": np.array([word for words, _ in train for word in words]),
        "labels": np.array([label for _, labels in train for label in labels]),
        "lengths": np.array([len(words) for words, _ in train]),
        "query": np.array([word for words, _ in test for word in words]),
        "query_lengths": np.array([len(words) for words, _ in test]),
    }


def in_iob2(labels: Sequence[str]) -> list[str]:
    """The labels of a row in IOB2; those that are no IOB2 begin an entity where they change."""
    if all(label == "O" or label.startswith(("B-", "I-")) for label in labels):
        return list(labels)
    before = [None, *labels[:-1]]
    return [f"{'I' if label == last else 'B'}-{label}" for label, last in zip(labels, before, strict=True)]


def figures(test: Sequence[Row], result: Arrays, has_entities: bool) -> dict[str, float]:
    """Of one run; see the module. A label of the test part that the training part has not is wrong, and counts so."""
    truth = np.array([label for _, labels in test for label in labels])
    lengths = [len(words) for words, _ in test]
    starts = np.cumsum([0, *lengths[:-1]])
    is_right = result["labels"] == truth
    place = {name: number for number, name in enumerate(result["classes"].tolist())}
    p = np.pad(result["marginals"].astype(np.float64), ((0, 0), (0, 1)))  # the last class is that of unknown labels
    ece, _ = reliability(p, np.array([place.get(name, len(place)) for name in truth.tolist()]))
    fit_seconds, cpu_seconds, predict_seconds = result["seconds"].tolist()
    result_figures = {
        "token": float(is_right.mean()),
        "row": float(np.minimum.reduceat(is_right, starts).mean()),
        "ece": ece,
        "seconds": fit_seconds,
        "cpu_seconds": cpu_seconds,
        "labels_per_second": len(truth) / predict_seconds,
        "peak_mb": float(result["peak_mb"]),
    }
    if has_entities:
        rows = list(zip(starts.tolist(), (starts + lengths).tolist(), strict=True))
        true_names = [name for begin, end in rows for name in in_iob2(truth[begin:end].tolist())]
        predicted_names = [name for begin, end in rows for name in in_iob2(result["labels"][begin:end].tolist())]
        classes = sorted({*true_names, *predicted_names})
        codes = {name: number for number, name in enumerate(classes)}
        predicted = np.array([codes[name] for name in predicted_names])
        actual = np.array([codes[name] for name in true_names])
        result_figures["entity"] = entity_scores(predicted, actual, starts, classes)[0].f1
    return result_figures


def measured(
    train: Sequence[Row], test: Sequence[Row], contender: str, seeds: int, peers: Path, has_entities: bool
) -> list[dict[str, float]]:
    """The figures of each seed."""
    module, task, library = CONTENDERS[contender]
    arrays = arrays_of(train, test)
    runs = []
    for seed in range(1 if contender in SEEDLESS else seeds):
        worker = Worker(contender, module, python_with(library, peers), cores(), {})
        worker.load(task, {"seed": seed}, arrays)
        runs.append(figures(test, worker.check(), has_entities))
        worker.close()
    return runs


def mean(runs: Sequence[dict[str, float]], what: str) -> float:
    """Over the seeds; NaN for a figure that the set has not."""
    return float(np.mean([run.get(what, np.nan) for run in runs]))


def line(name: str, contender: str, runs: Sequence[dict[str, float]]) -> str:
    """The row of the table."""
    token, entity, row, ece, cpu, speed, peak = (mean(runs, what) for what in FIGURES)
    entity_text = "" if np.isnan(entity) else f"{entity:.4f}"
    cells = [name, contender, f"{token:.4f}", entity_text, f"{row:.4f}", f"{ece:.3f}", f"{cpu:.1f}"]
    return f"| {' | '.join([*cells, f'{speed:,.0f}', f'{peak:,.0f}'])} |"


def summary(results: dict[str, Any]) -> str:
    """The means over the sets that all contenders of the results were measured on, by number of rows."""
    lines = []
    for rows in sorted({int(name.partition("@")[2]) for name in results}):
        of_rows = {name: result for name, result in results.items() if name.endswith(f"@{rows}")}
        contenders = sorted({contender for result in of_rows.values() for contender in result["contenders"]})
        names = [name for name, result in of_rows.items() if set(result["contenders"]) >= set(contenders)]
        for contender in contenders if names else ():
            runs = [results[name]["contenders"][contender] for name in names]
            means = {what: float(np.nanmean([mean(run, what) for run in runs])) for what in FIGURES}
            lines.append(line(f"mean of {len(names)} @{rows}", contender, [means]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data.tagging")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="with sklearn-crfsuite and torch")
    parser.add_argument("--data", type=Path, default=ROOT / ".cache", help="folder with the source packages")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), help="data sets; default: all")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="default: all")
    parser.add_argument("--rows", nargs="+", type=int, default=[2_500], help="most training rows; default: 2500")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ...; default: 3")
    parser.add_argument("--tune", action="store_true", help="cut the training part again; prints, and writes nothing")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    measured_now: dict[str, Any] = {}
    head = "data set | contender | token | entity | row | ECE | CPU s | labels/s | MB"
    print(f"| {head} |\n|---|---|" + "---:|" * (head.count("|") - 1), flush=True)
    for name in options.only:
        cut = replace(SETS[name], folder=options.data).cut(options.tune)
        for rows in options.rows:
            key = f"{name}@{rows}"
            facts: dict[str, Any] = {"train": len(cut.train[:rows]), "test": len(cut.test)}
            facts |= {"machine": machine(), "date": now(), "revision": revision()}
            contenders = results.get(key, {}).get("contenders", {})
            measured_now[key] = {"contenders": {}}
            for contender in options.contenders:
                has_entities = name not in PARTS_OF_SPEECH
                runs = measured(cut.train[:rows], cut.test, contender, options.seeds, options.peers, has_entities)
                measured_now[key]["contenders"][contender] = runs
                print(line(key, contender, runs), flush=True)
                if not options.tune:
                    contenders[contender] = runs
                    results[key] = facts | {"contenders": contenders}
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(summary(measured_now))


if __name__ == "__main__":
    main()
