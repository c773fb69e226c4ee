"""`gatewise serve` as a user starts it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.contenders import closed_loop
from benchmarks.contenders.base import Arrays, Settings, Task
from benchmarks.contenders.gatewise import architecture, info_of, parameters_of
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import KerasEncoding
from trust.server import serving


def serve(settings: Settings, arrays: Arrays) -> Task:
    """flags: options of the command."""
    running = closed_loop.after_the_last()
    words = arrays["words"].tolist()
    encoding = KerasEncoding({word: rank for rank, word in enumerate(words, 1)}, settings["vocab_size"])
    arch = architecture(settings, arrays)
    model = Model.of_network(arch, parameters_of(arch, arrays), TextPreprocessor(encoding), ("negative", "positive"))
    folder = Path(running.enter_context(tempfile.TemporaryDirectory())) / "reviews"
    model.save(folder)
    server = running.enter_context(serving(folder, *settings["flags"]))
    return closed_loop.task(server.port, server.process.pid, settings, arrays, info_of(f", {settings['flags']}"))


TASKS = {"serve": serve}
