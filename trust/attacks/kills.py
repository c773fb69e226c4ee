"""kill -9 at random moments of training and of saving."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.model.pretrained import PretrainedLM, load_pretrained
from gatewise.storage.atomic import write_atomic
from gatewise.storage.folder import load_folder, save_folder
from gatewise.training.pretrain import pretrain
from tests.training import test_from_pretrained as finetuning
from tests.training import test_pretrain as pretraining
from tests.training import test_resume as texts
from tests.training import test_series as series
from tests.training.texts import LANGUAGE_MODEL, made_corpus, made_reviews
from trust.attack import Attack, Attacks
from trust.forked import DONE, REFUSED, Child
from trust.mutate import Rng, choice

ATTACKS = Attacks()
TRAINING = ("training", "storage")
SAVING = ("storage",)


def text_run(out: Path) -> None:
    gw.train(made_reviews(200, 34), out=out, resume=True, **texts.OPTIONS | {"ngrams__order": 2})


def series_run(out: Path) -> None:
    rows, labels = series.two_channels(24, 3)
    gw.train(rows, labels, seed=5, out=out, resume=True, **series.TINY)


def pretraining_run(out: Path) -> None:
    pretrain(made_corpus(300, 5), recipe=pretraining.RECIPE, seed=7, out=out, resume=True)


def finetune_run(out: Path) -> None:
    more = [str(text) for text in made_reviews(60, 41).inputs]
    start: dict[str, Any] = {"pretrained": _language_model(), "unlabelled": more}
    gw.train(made_reviews(200, 3), out=out, resume=True, **finetuning.OPTIONS | start)


@cache
def _language_model() -> PretrainedLM:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pretrained"
        corpus = [str(text) for text in made_reviews(500, 40).inputs]
        _finish(lambda: pretrain(corpus, recipe=LANGUAGE_MODEL, seed=4, out=out))
        return load_pretrained(out)


@cache
def uninterrupted(run: Callable[[Path], None]) -> tuple[dict[str, Any], float]:
    """What a run gives that is not killed, and its seconds. It runs in a child process, so that this process has no
    threads when it forks the next one.
    """
    if run is finetune_run:
        _language_model()
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        _finish(partial(run, Path(folder) / "m"))
        return trained(Path(folder) / "m"), time.monotonic() - start


@cache
def _lines(run: Callable[[Path], None], parts: tuple[str, ...]) -> int:
    """Lines of code of these parts of the package that a run executes."""
    with tempfile.TemporaryDirectory() as folder:
        return int(_finish(partial(run, Path(folder) / "m"), parts))


def _finish(work: Callable[[], object], parts: tuple[str, ...] = ()) -> str:
    code, message = Child(work, parts).wait()
    if code != DONE:
        raise RuntimeError(f"exit code {code}: {message}")
    return message


def trained(path: Path) -> dict[str, Any]:
    """What training determines of a model folder: all tensors, and the configuration without times and dates."""
    files = load_folder(path).files
    config = json.loads(files["config.json"])
    config.pop("metadata")
    return {name: raw for name, raw in files.items() if name.endswith(".safetensors")} | {"config": config}


def _attempt(run: Callable[[Path], None], rng: Rng, folder: Path) -> str | None:
    (whole, seconds), out = uninterrupted(run), folder / "m"
    for _ in range(int(rng.integers(1, 4))):
        if parts := choice(rng, [TRAINING, SAVING, ()]):
            child = Child(partial(run, out), parts, {int(rng.integers(_lines(run, parts))): signal.SIGKILL})
        else:
            child = Child(partial(run, out))
            child.kill_after(float(rng.uniform(0, 1.2 * seconds)))
        code, message = child.wait()
        if code not in (DONE, -signal.SIGKILL) and not _finished(out, message):
            return f"exit code {code}: {message}"
        if out.exists():
            try:
                load_folder(out)
            except GatewiseError as error:
                return f"after a kill: {error}"
    children = [Child(partial(run, out)) for _ in range(2 if rng.random() < 0.3 else 1)]
    ends = [child.wait() for child in children]
    for code, message in ends:
        in_use = len(ends) == 2 and code == REFUSED and "is in use" in message
        if code != DONE and not in_use and not _finished(out, message):
            return f"the last run ended with exit code {code}: {message}"
    found = trained(out)
    wrong = [name for name in whole if found.get(name) != whole[name]]
    if wrong or set(found) != set(whole):
        return f"{', '.join(wrong) or 'the list of files'} differs from the uninterrupted run"
    return f"{out.name}.run is left" if any((folder / "m.run").rglob("*.safetensors")) else None


def _finished(out: Path, message: str) -> bool:
    """Whether a run was refused because it had finished before it was killed."""
    return out.exists() and "is a finished model" in message


OLD = {"config.json": b"old" * 3000, "a.bin": b"a" * 10_000}
NEW = {"config.json": b"new" * 2000, "b.bin": b"b" * 20_000}


def _save_both(folder: Path) -> None:
    """A file and a model folder."""
    write_atomic(folder / "checkpoint", b"new" * 1000)
    save_folder(folder / "m", NEW)


def _save_old(folder: Path, replaces: bool) -> None:
    """What is there before, with a model folder or without."""
    if replaces:
        save_folder(folder / "m", OLD)
    (folder / "checkpoint").write_bytes(b"old")


@cache
def saving_lines(replaces: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        _save_old(Path(folder), replaces)
        return int(_finish(partial(_save_both, Path(folder)), SAVING))


@ATTACKS.add("kills-save", 60, 5_000, memory=0)
def _save(rng: Rng, folder: Path) -> str | None:
    """A save that is killed leaves the old folder or the new one, whole, and the next save succeeds.

    kill -9 at a random line of the code that saves
    """
    replaces = bool(rng.random() < 0.7)
    path, file, work = folder / "m", folder / "checkpoint", partial(_save_both, folder)
    _save_old(folder, replaces)
    kill_at = int(rng.integers(saving_lines(replaces) + 1))  # the last: not killed
    code, message = Child(work, SAVING, {kill_at: signal.SIGKILL}).wait()
    if code not in (DONE, -signal.SIGKILL):
        return f"exit code {code}: {message}"
    if file.read_bytes() not in (b"old", b"new" * 1000):
        return "the file is neither old nor new"
    if not replaces and not path.exists():
        return None
    if load_folder(path).files not in (OLD, NEW) or (code == DONE and load_folder(path).files != NEW):
        return "the folder is neither old nor new"
    work()
    return None if load_folder(path).files == NEW else "saving after a kill failed"


for _name, _run, _short, _what in (
    ("text", text_run, 2, "Training on texts"),
    ("series", series_run, 2, "Training on series"),
    ("pretraining", pretraining_run, 1, "Pretraining"),
    ("finetune", finetune_run, 1, "Fine-tuning with unlabelled texts"),
):
    ATTACKS[f"kills-{_name}"] = Attack(
        f"kills-{_name}",
        f"{_what} that is killed and resumed gives the bits of an uninterrupted run.",
        "kill -9 one to three times, at a random line of the code that trains or saves or at a random time; then "
        "resume, in three of ten tries by two processes at once",
        _short,
        200,
        partial(_attempt, _run),
        partial(uninterrupted, _run),
        seconds=300,
        memory=0,
    )
