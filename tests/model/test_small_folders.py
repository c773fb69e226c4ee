"""A folder of less than 1 MB, valid or not, costs at most 300 MB of memory and is answered soon, whatever it claims."""

import json
import os
import string
import sys
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.pretrained import PretrainedLM
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Architecture, initial_parameters, language_model_shapes
from gatewise.storage.compact import distinct_limits, storage_table
from gatewise.storage.folder import MANIFEST, save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.text import Encoding, KerasEncoding, TokenEncoding
from tests.children import run_child

MEMORY = 300  # MB, at the peak
SECONDS = 120  # of a processor, for all folders together, which take about fifteen
TEXT = "a film that stays with you"

# Opens each folder as everything that it may be, and predicts and explains one text. VmHWM is the peak of the process;
# writing 5 to clear_refs resets it (man 5 proc).
CHILD = """
import json, resource, sys
import gatewise as gw
from gatewise.errors import GatewiseError

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))

def answers(open_folder):
    try:
        found = open_folder(path)
        if isinstance(found, gw.Model):
            found.predict_proba([TEXT])
            found.explain(TEXT)
            repr(found)
        return "answered"
    except GatewiseError as error:
        return str(error)

TEXT, seconds, *paths = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
for path in paths:
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    answered = [answers(one) for one in (gw.load, gw.load_pretrained)]
    print(json.dumps([answered, peak()]), flush=True)
"""


def files_of(encoding: Encoding, config: dict[str, Any] | None = None, **arch: Any) -> dict[str, bytes]:
    """A model whose states never converge, because its weights are large and random, as int8. config: changes of its
    architecture that `Architecture` itself may refuse.
    """
    full = Architecture.stacked("tokens", vocab_size=encoding.vocab_size, **arch)
    weights = {name: 30 * array for name, array in initial_parameters(full, np.random.default_rng(5)).items()}
    model = Model.of_network(full, weights, TextPreprocessor(encoding), ("no", "yes"))
    files = model.with_lstm(storage=storage_table(weights, "int8")).to_files()
    changed = json.loads(files["config.json"])
    changed["members"][0]["architecture"] |= config or {}
    return {**files, "config.json": json_bytes(changed)}


def padded(length: int, units: int, layers: int = 1) -> dict[str, bytes]:
    encoding = TokenEncoding.fit([TEXT], min_count=1)
    sizes = {"units": units, "layers": layers, "max_length": 9, "padding": "pre"}
    return files_of(encoding, {"max_length": length}, embedding_dim=4, **sizes)


def fixed(length: int, units: int) -> dict[str, bytes]:
    """A model whose texts are padded to one length, as that of an imported network."""
    files = files_of(TokenEncoding.fit([TEXT], min_count=1), embedding_dim=4, units=units, bidirectional=True)
    config = json.loads(files["config.json"])
    config["preprocessor"]["steps"] = {"length": length, "side": "post", "masked": False}
    return {**files, "config.json": json_bytes(config)}


def windows(steps: int) -> dict[str, bytes]:
    """A model of series that reads windows of so many steps."""
    reads = SeriesPreprocessor((0.0,), (1.0,), window=2, level=(0.0, 0.0), spread=(1.0, 1.0))
    channels = reads.inputs.size
    arch = Architecture.stacked("channels", channels, 0, 1)
    weights = initial_parameters(arch, np.random.default_rng(5))
    files = Model.of_network(arch, weights, reads, ("no", "yes")).to_files()
    config = json.loads(files["config.json"])
    columns = steps.bit_length()  # of level and spread: the mean, and an amplitude by octave
    config["preprocessor"] |= {"window": steps, "level": [0.0] * columns, "spread": [1.0] * columns}
    return {**files, "config.json": json_bytes(config)}


def words(count: int) -> list[str]:
    """Different words of three letters, then of four."""
    letters = string.ascii_lowercase
    return ["".join(one) for one in islice(chain(product(letters, repeat=3), product(letters, repeat=4)), count)]


def vocabulary(count: int) -> dict[str, bytes]:
    encoding = TokenEncoding.of_words(["", "", *words(count)])
    return files_of(encoding, embedding_dim=1, units=1)


def shared_embeddings(count: int) -> dict[str, bytes]:
    """As many words to each stored embedding as the format allows."""
    encoding = TokenEncoding.of_words(["", "", *words(count - 2)])
    arch = Architecture.stacked("tokens", vocab_size=count, embedding_dim=320, units=1)
    weights = initial_parameters(arch, np.random.default_rng(5))
    weights["embedding.weight"] = weights["embedding.weight"][np.arange(count) % distinct_limits(count)[0]]
    model = Model.of_network(arch, weights, TextPreprocessor(encoding), ("no", "yes"))
    model = model.with_lstm(storage=storage_table(weights, "int8"))
    assert "distinct_rows" in json.loads(model.to_files()["config.json"])["members"][0]
    return model.to_files()


def one_file_for_many(count: int) -> dict[str, bytes]:
    """Many LSTMs from one file with shared embeddings."""
    files = shared_embeddings(24_000)
    config = json.loads(files["config.json"])
    config["members"] *= count
    return {**files, "config.json": json_bytes(config)}


def keras_vocabulary(count: int) -> dict[str, bytes]:
    encoding = KerasEncoding({word: rank for rank, word in enumerate(words(count), start=1)}, num_words=10**9)
    return files_of(encoding, embedding_dim=1, units=1)


def history(lines: int) -> dict[str, bytes]:
    encoding = TokenEncoding.fit([TEXT], min_count=1)
    shapes = language_model_shapes(encoding.vocab_size, 2, 0)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return PretrainedLM(encoding, weights, history_jsonl="{}\n" * lines).to_files()


def brackets(name: str, count: int) -> dict[str, bytes]:
    return {**padded(9, 1), name: b"[" + b"[]," * count + b"[]]"}


REFUSED = {
    "pads": (lambda: padded(1_000_000, 8), "steps x units of all layers may be at most 2,000,000"),
    "pads of many layers": (lambda: padded(100_000, 32, 32), "steps x units of all layers"),
    "a fixed length": (lambda: fixed(5_000, 256), "steps x units of all layers may be at most 2,000,000"),
    "a long fixed length": (lambda: fixed(1_000_000_000, 1), "steps: the length must be from 0 to 5,000"),
    "windows": (lambda: windows(1 << 40), "series: a window may have at most 131,072 values"),
    "many members": (lambda: one_file_for_many(60), "each member needs a file of its own"),
    "lists in config.json": (lambda: brackets("config.json", 300_000), "config.json: the keys must be"),
}
ANSWERED = {
    "pads, one unit": lambda: padded(1_000_000, 2),
    "pads, many units": lambda: padded(4_500, 440),
    "pads, many layers": lambda: padded(1_050, 58, 32),
    "a short fixed length": lambda: fixed(2_000, 50),
    "words": lambda: vocabulary(45_000),
    "words that share embeddings": lambda: shared_embeddings(24_000),
    "Keras words": lambda: keras_vocabulary(110_000),
}


def sparse(path: Path, name: str, size: int) -> None:
    """Make a file of `size` bytes that takes no disk, and list it in the manifest."""
    os.truncate(path / name, size)
    manifest = json.loads((path / MANIFEST).read_bytes())
    manifest["files"][name] = {"bytes": size, "sha256": "0" * 64}
    (path / MANIFEST).write_bytes(json_bytes(manifest))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_memory_and_answers(tmp_path: Path) -> None:
    folders = {name: make() for name, make in ANSWERED.items()} | {name: make() for name, (make, _) in REFUSED.items()}
    folders["history"] = history(330_000)
    for name, files in folders.items():
        save_folder(tmp_path / name, files)
        size = sum(file.stat().st_size for file in (tmp_path / name).iterdir())
        assert size < 1_000_000, (name, size)
    save_folder(tmp_path / "README", folders["pads, one unit"])
    sparse(tmp_path / "README", "README.md", 1_900_000_000)
    save_folder(tmp_path / "lists", brackets("tokenizer.json", 20_000_000))

    names = [*folders, "README", "lists"]
    command = [sys.executable, "-c", CHILD, TEXT, str(SECONDS), *(str(tmp_path / name) for name in names)]
    child = run_child(command)
    assert child.returncode == 0, child.stderr
    answers, peaks = {}, {}
    for name, line in zip(names, child.stdout.splitlines(), strict=True):
        answers[name], peaks[name] = json.loads(line)
    assert {name: peak for name, peak in peaks.items() if peak > MEMORY} == {}

    for name in ANSWERED:
        assert answers[name][0] == "answered", (name, answers[name])
    for name, (_, message) in REFUSED.items():
        assert message in answers[name][0], (name, answers[name])
    assert "history.jsonl: more than 20,000 lines" in answers["history"][1]
    assert "the files without tensors have 1,900,0" in answers["README"][0]
    assert "more than 2,000,000 values" in answers["lists"][0]
