"""Small models of every kind, and one server of them all for the tests that leave it as it is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.serve.settings import Settings
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from tests.cli.conftest import Run
from tests.serve.server import Server, ask, serving
from tests.small_models import small_model

pytest.importorskip("fastapi")

TEXTS = ["the film was bad", "a good film seen twice", "the end of it", "it was good was it", "bad bad end 1 2 3 4 5"]
HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[2J\u202e{{7*7}}\x00")


def labels_of(model: Model, inputs: Any) -> list[str]:
    """The predicted names; an array of strings would cut a NUL at their end."""
    return [model.classes[k] for k in model.predict_proba(inputs).argmax(axis=1)]


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """reviews: the tutorial's kind. tokens: the default kind, three classes with hostile names. gestures: series."""
    rng = np.random.default_rng(6)
    keras = KerasEncoding(keras_index(TEXTS), 20)
    tokens = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    series = [rng.standard_normal((n + 4, 2)).astype(np.float32) for n in range(5)]
    both: dict[str, Any] = {"units": 4, "bidirectional": True, "pooling": "mean+max"}
    return {
        "reviews": small_model(keras, ("negative", "positive"), 3, max_length=30, padding="pre"),
        "tokens": small_model(tokens, HOSTILE, 4, **both),
        "gestures": small_model(SeriesPreprocessor.fit(series), ("a", "b", "c"), 5, units=5),
    }


@pytest.fixture(scope="session")
def folders(models: dict[str, Model], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("served")
    for name, model in models.items():
        model.save(home / name)
    return {name: home / name for name in models}


@pytest.fixture(scope="session")
def server(folders: dict[str, Path]) -> Iterator[Server]:
    """All three models; `reviews` is the default."""
    with serving(*folders.values()) as found:
        yield found


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """settings_of(words): what `gatewise serve` with these options gives to the server."""
    found: list[Settings] = []
    monkeypatch.setattr("gatewise.serve.run.run", lambda settings: found.append(settings) or 0)

    def of(*words: str) -> Settings:
        done = Run()("serve", *words)
        assert done.exit_code == 0, done.stderr
        return found.pop()

    return of


@pytest.fixture(scope="session")
def port(server: Server) -> int:
    return server.port


@pytest.fixture(scope="session")
def described(port: int) -> dict[str, Any]:
    """The OpenAPI description that the server gives."""
    found: dict[str, Any] = ask(port, "GET", "/openapi.json").json()
    return found
