"""The markers of tests that cost more than Python: `make check` leaves these tests out.

| marker | the test |
|---|---|
| browser | opens a browser |
| process | starts a process or listens at a socket |
| training | trains a network |
| peers | imports a library that takes a second or more to import, mostly to compare with it |

A test gets a marker from the names that its code uses, with the code of its fixtures and of the helpers in tests/ and
trust/ that it calls. What no name shows has its marker in the file. In `make check`, `Guard` fails a test that needs a
marker and has none.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
HELPERS = (str(ROOT / "tests"), str(ROOT / "trust"))

NAMES = {
    "browser": {"sync_playwright", "FIREFOX"},
    "process": {
        *("Popen", "fork", "create_server", "run_child", "running", "served", "ThreadingHTTPServer"),
        *("ProcessPoolExecutor", "multiprocessing"),
        *("PatternProcess", "label_by_rules"),  # which search for patterns in a process
    },
    "training": {
        *("train", "pretrain", "tune", "Forecaster"),
        *("LSTMSeriesClassifier", "LSTMSeriesRegressor", "LSTMTextClassifier", "LSTMTextEncoder", "LSTMTextRegressor"),
    },
}
PEERS = {"captum", "datasets", "keras", "mlflow", "onnxruntime", "optuna", "ray", "sklearn", "tensorboard", "torch"}
QUICK = "not (slow or browser or process or training or peers)"  # the -m of `make check`

# The means of all tests with a marker on two busy cores, rounded: they order the files of tests, nothing else.
SECONDS = {"slow": 6.0, "browser": 3.0, "process": 1.0, "training": 0.3, "peers": 0.3}
QUICK_SECONDS = 0.04

# Events of `sys.audit` (docs.python.org, "Audit events table"), and the marker of a test that causes them.
EVENTS = {
    **dict.fromkeys(("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"), "process"),
    "socket.bind": "process",
}


@cache
def names_of(function: Any) -> frozenset[str]:
    """The names that the code of a function uses, with those of the helpers that it calls."""
    names = set[str]()
    seen = set[Any]()
    waiting = [function]
    while waiting:
        helper = waiting.pop()
        if helper in seen:
            continue
        seen.add(helper)
        for part in _functions_of(helper):
            own = _names_of_code(part.__code__)
            names |= own
            waiting += [value for name in own if _is_helper(value := part.__globals__.get(name))]
    return frozenset(names)


def _functions_of(helper: Any) -> list[FunctionType]:
    """A function, or the methods of a class, without their decorators."""
    members = list(vars(helper).values()) if isinstance(helper, type) else [helper]
    plain = [getattr(member, "__func__", getattr(member, "__wrapped__", member)) for member in members]
    return [member for member in plain if isinstance(member, FunctionType)]


def _names_of_code(code: CodeType) -> set[str]:
    """Globals, attributes and words that are constants, as in `run("train", ...)`; of the functions inside too."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    constants = [constant for constant in code.co_consts if isinstance(constant, str)]
    words = {constant for constant in constants if constant.replace(".", "").isidentifier()}
    return {*code.co_names, *words}.union(*map(_names_of_code, inner))


def _is_helper(value: Any) -> bool:
    """Whether it is a function or class of tests/ or trust/."""
    value = getattr(value, "__wrapped__", value)
    if not isinstance(value, (FunctionType, type)):
        return False
    module = sys.modules.get(value.__module__)
    return (getattr(module, "__file__", None) or "").startswith(HELPERS)


def names_of_item(item: pytest.Item) -> set[str]:
    """The names in the code of a test and of its fixtures, or in the examples of a docstring."""
    if isinstance(item, pytest.DoctestItem):
        return set(re.findall(r"\w+", "\n".join(example.source for example in item.dtest.examples)))
    fixtures = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
    functions = [item.function, *(fixture.func for several in fixtures for fixture in several)]  # type: ignore[attr-defined]
    return set(item.fixturenames).union(*map(names_of, functions))  # type: ignore[attr-defined]


@cache
def imports_a_peer(path: Path) -> bool:
    """Whether a file of tests imports one of PEERS when it is imported itself."""
    code = path.read_text(encoding="utf-8")
    if not any(name in code for name in (*PEERS, "gatewise.nn")):
        return False  # without the syntax tree, which takes milliseconds for each file
    found = set[str]()
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, (ast.Assign, ast.Expr)) and "importorskip" in ast.unparse(node.value):
            found |= set(re.findall(r"importorskip\('([\w.]+)'", ast.unparse(node.value)))
    return any(name.partition(".")[0] in PEERS or name == "gatewise.nn" for name in found)


def are_left_out(config: pytest.Config) -> bool:
    """Whether the tests with these markers do not run, by the option -m of pytest."""
    return config.option.markexpr == QUICK


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where tests with peers do not run, a file that imports one is not imported."""
    if are_left_out(config) and collection_path.suffix == ".py" and imports_a_peer(collection_path):
        return True
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector, and exclude what was collected from its later passes.

    The modules and items of 6,000 tests live until the end. The collector, which looks at them again and again, takes
    more than half of the time of collecting, in each process of xdist.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by what its code says."""
    names = names_of_item(item)
    for marker, telling in NAMES.items():
        if names & telling:
            item.add_marker(marker)
    if any(name.partition(".")[0] in PEERS for name in names) or imports_a_peer(item.path):
        item.add_marker("peers")


def expected_seconds(item: pytest.Item) -> float:
    """About how long a test takes, by its markers."""
    return max([QUICK_SECONDS, *(SECONDS.get(marker.name, 0.0) for marker in item.iter_markers())])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: with several processes, a long file that starts last keeps the others
    waiting.
    """
    seconds = dict.fromkeys((item.path for item in items), 0.0)
    for item in items:
        seconds[item.path] += expected_seconds(item)
    items.sort(key=lambda item: -seconds[item.path])


class Guard:
    """Fails a test that does what it has no marker for."""

    def __init__(self) -> None:
        self.item: pytest.Item | None = None

    def sees(self, event: str, arguments: tuple[Any, ...]) -> None:
        """A hook of `sys.addaudithook`, which cannot be removed."""
        if event == "import" and arguments[0].partition(".")[0] in PEERS:
            self.requires("peers", f"imports {arguments[0]}")
        elif event in EVENTS:
            self.requires(EVENTS[event], f"causes {event} {arguments[:2]}")

    def requires(self, marker: str, what: str) -> None:
        """Fail the running test, unless it has the marker."""
        item = self.item
        if item is not None and item.get_closest_marker(marker) is None:
            pytest.fail(f"{item.nodeid} {what}: mark it with @pytest.mark.{marker} (tests/cost.py)")


GUARD = Guard()


@pytest.fixture(scope="session", autouse=True)
def _guarded_training(pytestconfig: pytest.Config) -> Iterator[None]:
    if not are_left_out(pytestconfig):
        yield
        return
    from gatewise.training.loop import Loop

    run = Loop.run

    def guarded(self: Any, *arguments: Any) -> Any:
        GUARD.requires("training", "trains a network")
        return run(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "run", guarded)
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Watch from the first test on."""
    if are_left_out(config):
        sys.addaudithook(GUARD.sees)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The guard knows which test runs, its fixtures included."""
    GUARD.item = item
    try:
        return (yield)
    finally:
        GUARD.item = None
