"""`gatewise pretrain`, and `gatewise train --pretrained` what it made."""

import json
from pathlib import Path

import pytest

import gatewise as gw
from tests.cli.conftest import Run
from tests.training.texts import made_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(made_corpus(200, 3)) + "\n")
    return path


def test_pretrain_and_fine_tune(run: Run, corpus: Path, reviews_csv: Path, tmp_path: Path) -> None:
    pretrained, target = tmp_path / "pretrained", tmp_path / "m"
    result = run("pretrain", corpus, "--size", "small", "--epochs", 0.5, "-o", pretrained, "--seed", 4)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "200 lines of 'corpus.txt'" in result.stdout
    assert f"saved to {pretrained}" in result.stdout
    made = gw.load_pretrained(pretrained)
    assert (made.units, made.embedding_dim, made.metadata.seed) == (128, 128, 4)
    assert made.metadata.command == f"gatewise pretrain {corpus} --out {pretrained} --size small --epochs 0.5 --seed 4"
    last = made.history[-1]
    assert f"{last['perplexity']['forward']:.1f}" in result.stdout
    columns = ("--text", "review", "--label", "sentiment")
    trained = run(
        "train", reviews_csv, *columns, "--pretrained", pretrained, "--unlabelled", corpus, "-o", target, "--epochs", 1
    )
    assert trained.exit_code == 0
    model = gw.load(target)
    assert model.metadata.recipe == "few-shot"
    assert "corpus.txt" in model.metadata.pretrained
    assert "corpus.txt" in model.metadata.unlabelled
    assert f"--pretrained {pretrained} --unlabelled {corpus}" in model.metadata.command
    assert "pretrained" in run("info", "-m", target).stdout


def test_json(run: Run, corpus: Path, tmp_path: Path) -> None:
    result = run("pretrain", corpus, "--size", "embeddings", "--epochs", 0.5, "-o", tmp_path / "pretrained", "--json")
    found = json.loads(result.stdout)
    assert found["size"] == "embeddings"
    assert set(found["perplexity"]) == {"forward", "backward"}
