"""The beginning: one line and exit code 2 for what keeps the server from starting."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model import bundled
from gatewise.model.model import Model
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from tests.cli.conftest import Run


def refused(*words: object) -> str:
    given = [part for word in words for part in (("-m", word) if isinstance(word, Path) else (word,))]
    done = Run()("serve", *given)
    assert done.exit_code == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("gatewise: ")
    return line


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_parent_process_refuses(
    models: dict[str, Model], folders: dict[str, Path], tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port in use, a model that cannot predict, and an invalid number of threads."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(folders["reviews"], "--port", port, "--workers", workers)
        assert f"cannot listen at 127.0.0.1 port {port}: Address already in use" in line
    model = models["gestures"]
    huge = {name: np.full_like(array, 3e38) for name, array in model.parameters.items() if name.startswith("dense.")}
    model.with_lstm(parameters={**model.parameters, **huge}).save(tmp_path / "broken")
    line = refused(tmp_path / "broken", "--port", 0, "--workers", workers)
    assert line.startswith("gatewise: 'broken': the model cannot predict an example: ")
    monkeypatch.setenv("GATEWISE_THREADS", "0")
    line = refused(folders["reviews"], "--port", 0, "--workers", workers)
    assert line == "gatewise: GATEWISE_THREADS must be a number from 1 to 1024, not '0'"


def test_of_several_models_one_that_cannot_predict_is_left_out(
    models: dict[str, Model], capsys: pytest.CaptureFixture[str]
) -> None:
    """A reload is refused instead: the served models stay as they are."""
    model = models["gestures"]
    huge = {name: np.full_like(array, 3e38) for name, array in model.parameters.items() if name.startswith("dense.")}
    broken = model.with_lstm(parameters={**model.parameters, **huge})
    settings = Settings(("reviews", "broken"), load=lambda name, **_: {"broken": broken, **models}[name])
    state = State({"broken": broken, "reviews": models["reviews"]}, settings)
    assert list(state.endpoints) == ["reviews"]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("gatewise: 'broken': the model cannot predict an example: ")
    assert line.endswith("; it is not served")
    assert not state.try_reload()
    assert list(state.endpoints) == ["reviews"]
    assert "the models stay as they are: 'broken'" in capsys.readouterr().err
    with pytest.raises(InputError, match="'broken': the model cannot predict an example"):
        State({"broken": broken}, settings)


def test_a_model_that_is_not_one(folders: dict[str, Path], tmp_path: Path) -> None:
    assert "none" in refused(tmp_path / "none", "--port", 0)
    damaged = tmp_path / "damaged"
    shutil.copytree(folders["reviews"], damaged)
    weights = damaged / "lstm.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert "lstm.safetensors" in refused(folders["reviews"], damaged, "--port", 0)


@pytest.mark.parametrize(
    ("words", "served"),
    [
        ((), bundled.folder()),
        (("--lesson",), bundled.folder(bundled.TUTORIAL)),
        (("-m", "models/reviews", "--lesson"), Path("models/reviews")),
    ],
)
def test_without_a_model_a_bundled_one_is_served(
    settings_of: Callable[..., Settings], words: tuple[str, ...], served: Path
) -> None:
    assert settings_of(*words).models == (str(served),)


def test_an_option_that_is_given_twice_adds_up(settings_of: Callable[..., Settings]) -> None:
    words = ("--allow-host", "models.example", "--allow-host", "proxy:80")
    assert settings_of(*words).allow_hosts == ("models.example", "proxy:80")


def test_names_of_models(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["reviews"], tmp_path / "reviews")
    assert "a model 'reviews' is already served" in refused(folders["reviews"], tmp_path / "reviews", "--port", 0)
    for name in ("<script>", "a b", "größe", "a?b"):
        shutil.copytree(folders["reviews"], tmp_path / name)
        assert "ASCII letters" in refused(tmp_path / name, "--port", 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "set a --token"),
        (["--threads", "1025"], "--threads must be from 1 to 1024, not 1025"),
        (["--workers", "0"], "--workers must be"),
        (["--precision", "float16"], "precision must be"),
        (["--host", "999.0.0.1", "--token", "long-enough"], "cannot listen"),
    ],
)
def test_invalid_options_are_rejected(folders: dict[str, Path], words: list[str], message: str) -> None:
    assert message in refused(folders["reviews"], *words)
