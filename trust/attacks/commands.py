"""Two commands at once that write to one output, with signals at random lines and times."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import gatewise as gw
from gatewise.cli import main
from gatewise.cli.endings import Stopped, stop_on_signals
from gatewise.storage.folder import load_folder, save_folder
from tests.exchange.random_models import random_model
from tests.training.texts import made_reviews
from trust.attack import ROOT, Attack, Attacks
from trust.forked import DONE, REFUSED, Child, allow_stops, finish
from trust.mutate import Rng, choice

ATTACKS = Attacks()
SMALL = "--epochs 2 --set units=6 --set batch_size=16"
ROWS = 60  # of the tables
Content = Any


def trained(path: Path) -> dict[str, Any]:
    """What training determines of a model folder: all tensors, and the configuration without times and dates."""
    files = load_folder(path).files
    config = json.loads(files["config.json"])
    config.pop("metadata")
    return {name: raw for name, raw in files.items() if name.endswith(".safetensors")} | {"config": config}


def _tables(path: Path) -> Content:
    """The tables of a folder by name. A process that is killed leaves a scratch file, which the next run removes."""
    return {one.name: one.read_bytes() for one in path.iterdir() if not one.name.startswith(("_gatewise", ".gatewise"))}


def _model(path: Path) -> Content:
    """That there is a model, where its parameters depend on which process searched."""
    return len(gw.load(path).predict_proba(["a film"]))


@dataclass(frozen=True)
class Command:
    """words: what is typed, with {n} for 0 or 1 in the first process and in the second, and the output at its end.
    read: the content of the output, apart from dates. shared: whether several processes may write one output together.
    """

    words: str
    read: Callable[[Path], Content]
    shared: bool = False

    @property
    def out(self) -> str:
        """The name of the output."""
        return self.words.rsplit(" ", 1)[1].rstrip("/")

    @property
    def typed(self) -> str:
        """The command and its option, as documented."""
        resume = " --resume" * ("--resume" in self.words)
        form = "FOLDER/" if self.words.endswith("/") else "FILE" if "." in self.out else "DIR"
        return f"{self.words.split()[0]}{resume} {self.words.split()[-2]} {form}"

    def argv(self, n: int) -> list[str]:
        """The arguments of a process."""
        return self.words.format(n=n).split()


TRAIN = f"train texts.csv --text text --label label {SMALL} --seed"
SERIES = "train waves.csv --series --label label --set epochs=2 --set units=3 --set features=168 --seed 5"
FINETUNE = (
    "train texts.csv --text text --label label --pretrained model-p --unlabelled more.csv --recipe finetune "
    "--set epochs=1 --set min_steps=20 --set batch_size=16 --set student_epochs=1 --seed 5"
)
PRETRAIN = "pretrain texts.csv --text text --size embeddings --epochs 1 --seed"
SEARCH = "tune texts.csv --text text --label label --trials 2 --search units=3..5 --set epochs=1 --set ngrams.order=0"
GROUPS: dict[str, tuple[str, int, list[Command]]] = {
    "two-trainings": (
        "train or search",
        2,
        [
            Command(f"{TRAIN} {{n}} -o m", trained),
            Command(f"{TRAIN} 5 --resume -o m", trained, shared=True),
            Command(f"{SERIES} --resume -o m", trained, shared=True),
            Command(f"{FINETUNE} --resume -o m", trained, shared=True),
            Command(f"{PRETRAIN} {{n}} -o m", trained),
            Command(f"{PRETRAIN} 5 --resume -o m", trained, shared=True),
            Command(f"{SEARCH} --seed {{n}} -o m", trained),
            Command(f"{SEARCH} --storage trials.jsonl -o m", _model, shared=True),
        ],
    ),
    "two-tables": (
        "write a table",
        3,
        [
            Command("predict -m model-{n} -i texts.csv --text text -o out.csv", Path.read_bytes),
            Command("predict -m model-{n} -i texts.csv --text text -o out.jsonl.gz", Path.read_bytes),
            Command("predict -m model-0 -i texts.csv --text text --rows-per-file 7 -o out/", _tables, shared=True),
            Command("predict -m model-{n} -i texts.csv --text text --rows-per-file 7 -o out/", _tables),
            Command("evaluate -m model-{n} texts.csv --text text --label label -o out.csv", Path.read_bytes),
            Command("explain -m model-{n} -i few.csv --text text -o out.jsonl", Path.read_bytes),
            Command("forecast -m model-{n}f -i series.csv -o out.csv", Path.read_bytes),
        ],
    ),
    "two-exports": (
        "write a folder or a file",
        2,
        [
            Command("compress -m model-{n} -o m", trained),
            Command("export -m model-{n} -o out.onnx", Path.read_bytes),
            Command("export-page -m model-{n} good bad -o page", _tables),
            Command("forecast series.csv --time month --target sold --horizon 2 --seed {n} --save m", trained),
        ],
    ),
}
PARTS: list[tuple[str, ...]] = [
    ("storage/atomic", "system/files", "tuning/trial_file"),
    ("cli", "storage", "training/run", "tuning/trial_file"),
    ("cli", "storage", "training"),
]
SIGNALS = [signal.SIGSTOP, signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def write_texts(file: Path, n: int = 200, seed: int = 34) -> Path:
    """Made reviews as CSV."""
    reviews = made_reviews(n, seed)
    with file.open("w", newline="", encoding="utf-8") as lines:
        rows = csv.writer(lines)
        rows.writerow(["text", "label"])
        rows.writerows(zip(reviews.inputs, [reviews.classes[label] for label in reviews.labels], strict=True))
    return file


def _tables_of(folder: Path) -> None:
    for name, rows, seed in (("texts", ROWS, 34), ("few", 5, 34), ("more", 40, 41)):
        write_texts(folder / f"{name}.csv", rows, seed)
    months = [f"{2018 + n // 12}-{n % 12 + 1:02},{50 + 9 * (n % 5) + n % 3}" for n in range(36)]
    (folder / "series.csv").write_text("\n".join(["month,sold", *months]) + "\n")
    head = [*(f"t{t}" for t in range(12)), "label"]
    waves = [[*(str((n * t) % 7 + n % 2) for t in range(12)), f"w{n % 2}"] for n in range(24)]
    (folder / "waves.csv").write_text("".join(",".join(row) + "\n" for row in [head, *waves]))


def _inputs(folder: Path, command: Command) -> None:
    """The tables, and the models that the command names."""
    _tables_of(folder)
    for n in range(2):
        if "model-{n}f" in command.words:
            forecaster = f"forecast series.csv --time month --target sold --horizon {2 + n} --season 1 --save m"
            save_folder(folder / f"model-{n}f", _made(forecaster))
        elif "model-" in command.words:
            random_model(n, linear="ngrams", units=4 + n, names=("negative", "positive")).save(folder / f"model-{n}")
    if "model-p" in command.words:
        save_folder(folder / "model-p", _made(f"{PRETRAIN} 5 -o m"))


@cache
def _made(words: str) -> dict[str, bytes]:
    """The files of the folder m that a command writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _tables_of(folder)
        finish(partial(run_command, folder, Command(words, trained).argv(0)))
        return dict(load_folder(folder / "m").files)


def run_command(folder: Path, words: list[str]) -> None:
    """`gatewise` with these arguments and the files of the folder in this process, a `Child`. What it prints goes to a
    file.
    """
    os.chdir(folder)
    log = os.open(_log(folder, os.getpid()), os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["gatewise", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the attack runs in the background
    stop_on_signals()
    try:
        allow_stops()
        main()
    except Stopped as stopped:  # before the command began
        sys.exit(stopped.exit_code)


def _log(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.log"


@cache
def undisturbed(command: Command) -> tuple[list[Content], dict[tuple[str, ...], int]]:
    """The content of the output of either process alone, and the lines of code that a run takes, by parts."""
    found, lines = [], {}
    for n, parts in ((0, PARTS[0]), (1, PARTS[1]), (1, PARTS[2])):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _inputs(folder, command)
            child = Child(partial(run_command, folder, command.argv(n)), parts)
            code, message = child.wait()
            if code != DONE:
                raise RuntimeError(f"exit code {code}: {_log(folder, child.pid).read_text()} {message}")
            lines[parts] = int(message)
            found.append(command.read(folder / command.out))
    if found[1] != found[2]:
        raise RuntimeError(f"{command.words}: two runs differ")
    return found[:2], lines


def _attempt(commands: list[Command], rng: Rng, folder: Path) -> None:
    command = choice(rng, commands)
    contents, lines = undisturbed(command)
    _inputs(folder, command)
    before = bool(rng.random() < 0.4) and not command.shared
    if before:  # an output that both replace
        Child(partial(run_command, folder, command.argv(0))).wait()
    for _ in range(int(rng.integers(1, 3)) if command.shared else 1):
        children: list[Child] = []
        for n in range(2):
            parts, words = choice(rng, PARTS), command.argv(n) + ["--overwrite"] * before
            signals = int(rng.choice(3, p=[(0.1, 0.8, 0.1), (0.5, 0.4, 0.1)][n]))
            at = {int(line): choice(rng, SIGNALS) for line in rng.integers(lines[parts], size=signals)}
            children.append(Child(partial(run_command, folder, words), parts, at))
            if n == 0:
                children[0].wait_for(float(rng.choice([0.0, rng.uniform(0, 1), 30.0])))
        codes = _ended(children, float(rng.choice([0.0, rng.uniform(0, 1), 30.0])))
        for child, code in zip(children, codes, strict=True):
            _check_end(f"{command.typed}: exit code {code}", code, _log(folder, child.pid))
        _check_content(f"{command.typed}: exit codes {codes}", command, folder, contents, codes, before)
    _check_next(command, folder, contents[1])


def _check_next(command: Command, folder: Path, content: Content) -> None:
    """An undisturbed run after all that."""
    there = (folder / command.out).exists()
    words = command.argv(1) + ["--overwrite"] * (not command.shared)
    child = Child(partial(run_command, folder, words))
    code, _ = child.wait()
    right = code == DONE or (command.shared and there and code == REFUSED)
    assert right, f"{command.typed}: the next run: exit code {code}: {_log(folder, child.pid).read_text()[-200:]}"
    assert command.read(folder / command.out) == content, f"{command.typed}: the next run gives another result"
    names = {one.name for one in folder.iterdir()} - {command.out, "trials.jsonl"}
    left = [one for one in names if not re.fullmatch(r"\w+\.csv|model-\w+|\d+\.log", one)]
    left += [one.name for one in folder.glob("*/.gatewise-*")]
    if code == REFUSED:  # it has saved nothing, and it is a save that removes the scratch files of killed processes
        left = [one for one in left if not one.startswith(".gatewise-")]
    assert not left, f"{command.typed}: left: {left}"


def _ended(children: list[Child], seconds: float) -> list[int]:
    """The exit codes. A stopped one goes on when the other one has ended, is stopped too, or that time is over."""
    end = time.monotonic() + seconds
    while (states := [child.state() for child in children]) != ["ended"] * len(children):
        if "running" not in states or time.monotonic() > end:
            next(child for child, state in zip(children, states, strict=True) if state != "ended").resume()
        time.sleep(0.005)
    return [child.wait()[0] for child in children]


def _check_end(what: str, code: int, log: Path) -> None:
    """The exit code of a command, and what it printed."""
    if code in (DONE, -signal.SIGKILL):
        return
    text = log.read_text()
    lines = re.findall(r"^gatewise: (?!warning: ).*$", text, re.MULTILINE)
    assert code in (REFUSED, 130, 143), f"{what}: {text[-200:]}"
    assert "Traceback" not in text, f"{what}: {text[-200:]}"
    said = not text or (lines and (code == REFUSED or lines[-1].startswith("gatewise: stopped")))
    assert said, f"{what} without a reason: {text[-200:]}"


def _check_content(
    what: str, command: Command, folder: Path, contents: list[Content], codes: list[int], before: bool
) -> None:
    """The output after both ended with these exit codes."""
    out, done = folder / command.out, [n for n, code in enumerate(codes) if code == DONE]
    if not out.exists():
        assert not done, f"{what}: no output"
        return
    found = command.read(out)
    # Parts are written one by one: a run that ends early leaves some, also of a folder that it was to replace.
    if command.read is _tables and (not done or (before and len(done) == 1)):
        assert any(found.items() <= one.items() for one in contents), f"{what}: a table that neither writes"
        return
    model_so_far = command.words.startswith("train") and {130, 143} & set(codes)  # a training that is stopped saves it
    assert found in contents or model_so_far, f"{what}: the output is what neither writes"
    twice = len(done) == 2 and not before and not command.shared
    assert not twice, f"{what}: both have written it, and one of them replaced the other's without --overwrite"
    others = [code for n, code in enumerate(codes) if n not in done]
    if len(done) == 1 and others == [REFUSED]:
        assert found == contents[done[0]], f"{what}: the output is not that of the command with exit code 0"


for _name, (_what, _short, _commands) in GROUPS.items():
    ATTACKS[_name] = Attack(
        _name,
        f"Two commands at once that {_what} at one place end with the documented exit codes and one line. What is "
        "there then is what one of them alone writes, whole; after exit code 0 it is there, and nothing replaces it "
        "without --overwrite. The next run succeeds, and no other file is left.",
        f"{'; '.join(f'`{one.typed}`' for one in _commands)}: SIGSTOP and SIGCONT, kill -9, SIGTERM, Ctrl-C at random "
        "lines of either one, while the other one goes on",
        _short,
        1_000,
        partial(_attempt, _commands),
        seconds=300,
        memory=0,
    )


SHORT_COMMANDS = [
    "--version",
    "predict --help",
    "info -m model-0",
    "predict -m model-0 good bad",
    "predict -m model-0 -i few.csv --text text",
    "explain -m model-0 good",
]


def _stopped_at(folder: Path, command: str, line: int, number: int) -> subprocess.CompletedProcess[str]:
    """The command with a signal at a line, as `trust.stop`."""
    words = ["-m", "trust.stop", str(line), str(int(number)), *command.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


@cache
def _lines_of(command: str) -> int:
    """The lines that the command takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _inputs(folder, Command(command, trained))
        done = _stopped_at(folder, command, -1, signal.SIGINT)
        if done.returncode:
            raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stderr[-250:]}")
        return int((folder / "lines").read_text())


@ATTACKS.add(
    "stopped-commands",
    3,
    1_000,
    seconds=300,
    memory=0,
)
def _stopped(rng: Rng, folder: Path) -> None:
    """A command that a signal stops says so in one line, and ends with exit code 130, 143 or 129, from the moment at
    which the program has set its handlers: while it imports its code, while it works and while it prints.

    Ctrl-C, SIGTERM, SIGHUP at a random line of the program, the import system and the libraries, of six short commands
    """
    command = choice(rng, SHORT_COMMANDS)
    _inputs(folder, Command(command, trained))
    number = choice(rng, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    line = int(rng.integers(_lines_of(command)))
    done = _stopped_at(folder, command, line, number)
    what = f"{command}: {signal.Signals(number).name} at line {line:,}: exit code {done.returncode}"
    if not (folder / "sent").exists():  # at its end, a command ignores signals
        assert (done.returncode, done.stderr) == (0, ""), f"{what}: {done.stderr[-200:]}"
        return
    assert done.returncode == 128 + number, f"{what}: {done.stderr[-200:]}"
    assert done.stderr == "gatewise: stopped\n", f"{what}: {done.stderr[-200:]}"
