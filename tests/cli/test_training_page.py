"""docs/training.md: its commands and its Python example run."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_commands_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [("good" if n % 3 else "bad", f"the film was {'good' if n % 3 else 'bad'} {n}") for n in range(30)]
    Path("reviews.csv").write_text("label,text\n" + "".join(f"{label},{text}\n" for label, text in rows))
    Path("fast.toml").write_text(blocks("toml")[0])
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 8
    for command in commands:
        result = run(*shlex.split(command)[1:])
        assert (command, result.exit_code, result.stderr) == (command, 0, "")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("".join(blocks("python")), "training.md", "exec"), {})
    assert list(Path("runs/first").iterdir())
    assert re.fullmatch(r"epoch 1: validation loss \d\.\d\d\nepoch 2: validation loss \d\.\d\d\n", printed.getvalue())
