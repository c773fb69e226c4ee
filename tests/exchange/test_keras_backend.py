"""The backend with which Keras is imported, in processes that have not imported it."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.children import run_child

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="keras is not installed")

CODE = """
import warnings
warnings.simplefilter("ignore")
from gatewise.errors import InputError
from gatewise.exchange.keras_backend import keras_module
import os
try:
    print(keras_module().config.backend(), os.environ.get("KERAS_BACKEND"))
except InputError as error:
    print(error)
"""


def backend(home: Path, code: str = CODE, **variables: str) -> str:
    """What a process prints. variables: of its environment."""
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment = {**kept, "KERAS_HOME": str(home), **variables}
    done = run_child([sys.executable, "-c", code], env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def settings(home: Path, name: str) -> Path:
    home.mkdir()
    (home / "keras.json").write_text(json.dumps({"backend": name, "floatx": "float32", "epsilon": 1e-7}))
    return home


def only(*installed: str) -> str:
    """Code that hides the backends that are not named."""
    return f"""
import importlib.util, sys
found = importlib.util.find_spec
hidden = {{"tensorflow", "torch", "jax"}} - {set(installed)}
importlib.util.find_spec = lambda name, *rest: None if name in hidden else found(name, *rest)
"""


@pytest.mark.slow
def test_an_installed_backend_is_chosen(tmp_path: Path) -> None:
    """keras.json has the default there, which Keras wrote at its first import."""
    assert backend(settings(tmp_path / "default", "tensorflow"), only("torch") + CODE) == "torch None"


def test_a_backend_that_is_set_is_never_replaced(tmp_path: Path) -> None:
    code = only("torch") + CODE
    for message in (
        backend(settings(tmp_path / "file", "jax"), code),
        backend(settings(tmp_path / "both", "torch"), code, KERAS_BACKEND="jax"),
    ):
        assert "Keras cannot be imported with its backend 'jax'" in message
        assert "set KERAS_BACKEND to an installed one of tensorflow, torch, jax before" in message
    imported = "import sys, types\nsys.modules['keras'] = keras = types.ModuleType('keras')\n"
    imported += "keras.config = types.SimpleNamespace(backend=lambda: 'theirs')\n"
    assert backend(tmp_path / "imported", imported + code) == "theirs None"


def test_without_a_backend_or_keras(tmp_path: Path) -> None:
    assert "pip install keras torch" in backend(tmp_path / "none", only() + CODE)
    absent = "import sys\nsys.modules['keras'] = None\n"
    assert "pip install keras torch" in backend(tmp_path / "absent", absent + CODE)
