"""A tagger from the command line, and served."""

import json
from pathlib import Path

import pytest

import gatewise as gw
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.serve.server import ask, post, served
from tests.tagging.conftest import made

TEXT = "saw the cat x1 saw the Dog"


def conll(path: Path, n: int, seed: int) -> Path:
    rows = (zip(*pair, strict=True) for pair in zip(*made(n, seed), strict=True))
    path.write_text("\n\n".join("\n".join(map("\t".join, row)) for row in rows) + "\n", encoding="utf-8")
    return path


def test_the_commands(run: Run, tmp_path: Path, folder: Path, model: gw.Model) -> None:
    train, test = conll(tmp_path / "train.conll", 60, 1), conll(tmp_path / "test.conll", 40, 2)
    small = tmp_path / "small"
    shown = run("train", train, "--task", "tagging", "-o", small, "--set", "units=4", "--set", "min_steps=9").stdout
    assert "entity F1" in shown
    assert gw.load(small).metadata.recipe == "tagging"

    lines = run("predict", "-m", folder, "-i", test).stdout.split("\n")
    words = test.read_text().replace("\t", " ").split("\n")
    assert [line.split("\t")[0] for line in lines[: len(words) - 1]] == [word.split(" ")[0] for word in words[:-1]]
    typed = run("predict", "-m", folder, TEXT).stdout.split("\n")
    assert [line.split("\t")[1] for line in typed if line] == model.predict([TEXT])[0]
    found = run.json("predict", "-m", folder, TEXT)["predictions"]
    assert (found[0]["steps"], found[0]["label"]) == (TEXT.split(), model.predict([TEXT])[0])

    for name in ("out.jsonl", "out.csv"):
        run("predict", "-m", folder, "-i", test, "-o", tmp_path / name)
        data = gw.data.read_table(tmp_path / name, label="predicted_label", task="tagging")
        assert model.evaluate(data).accuracy == 1
    scores = run("evaluate", "-m", folder, test).stdout
    assert "steps of 40 sequences" in scores
    assert "entities" in scores
    page = tmp_path / "report.html"
    assert run("evaluate", "-m", folder, test, "--html", page).exit_code == 0
    assert "Entities" in page.read_text()

    report = run("explain", "-m", folder, TEXT, "--step", 4).stdout
    assert "Labels: saw/O the/O cat/B-X x1/I-X saw/O the/O Dog/B-X" in report
    assert "Prediction for word 4, x1: I-X" in report
    assert run.json("explain", "-m", folder, TEXT)["step"] == 2
    assert run("explain", "-m", folder, TEXT, "--html", tmp_path / "one.html").exit_code == 0
    assert "--step must be from 1 to 7" in refused(run, "explain", "-m", folder, TEXT, "--step", 8)
    options = ("--task", "tagging", "--recipe", "fast", "-o", tmp_path / "x")
    assert "pooling='none'" in refused(run, "train", train, *options)
    search = ("--search", "units=3,4", "--set", "min_steps=3", "--trials", 1)
    assert "1 complete" in run("tune", train, "--recipe", "tagging", *search).stdout


def test_the_server(model: gw.Model) -> None:
    texts, tensor = [TEXT, "the cat"], {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    with served({"tagger": model}) as port:
        answer = post(port, "/predict", {"inputs": texts}).json()
        refusal = post(port, "/v2/models/tagger/infer", {"inputs": [tensor]})
        assert ask(port, "GET", "/v2/models/tagger").json()["outputs"] == []
        assert ask(port, "GET", "/openapi.json").status == 200
    assert refusal.status == 400
    assert "use /predict" in json.dumps(refusal.json())
    assert [one["labels"] for one in answer["predictions"]] == model.predict(texts)
    for one, p in zip(answer["predictions"], model.predict_proba(texts), strict=True):
        assert one["steps"] == len(one["labels"]) == len(p)
        for k, name in enumerate(model.classes):
            assert one["probabilities"][name] == pytest.approx(p[:, k].tolist(), abs=1e-6)
