"""All targets by name. They are imported one at a time: a process with AddressSanitizer loads no more than it tests."""

from __future__ import annotations

import importlib

from trust.fuzzing.target import Target

# By module, in which the target has the name in capitals.
PROMISES = {
    "stored": {
        "json": "JSON is read as Python's json module reads it, written as it was read, or refused in one line.",
        "safetensors": "A safetensors file gives the arrays that the safetensors library reads, or is refused in one "
        "line.",
        "tokenizer": "A vocabulary gives the ids that the tokenizers library gives and is written as it was read, or "
        "is refused in one line.",
    },
    "data": {
        "ts": "A .ts file gives the numbers that are written in it, or is refused in one line.",
        "arff": "An ARFF file gives finite series with their labels, or is refused in one line.",
        "ucr": "A file of the UCR archive gives finite series with their labels, or is refused in one line.",
        "csv": "A CSV file gives the rows that Python's csv module and pandas read, or is refused with its lines.",
        "tsv": "A TSV file gives the rows that Python's csv module and pandas read, or is refused with its lines.",
        "json-rows": "JSON Lines and JSON lists give the records that Python's json module reads, or are refused with "
        "lines.",
        "npz": "An .npz or .npy file gives the numbers that NumPy reads, or is refused in one line.",
    },
    "foreign": {
        "onnx": "An ONNX file gives the weights that the onnx library reads, or is refused in one line; it reads no "
        "other file.",
        "trials": "A search continues from a file of trials, or refuses it in one line.",
    },
    "kernels": {
        "kernels": "No argument of the native extension makes it read or write outside its arrays: it refuses what "
        "does not fit.",
    },
}
TARGETS = {name: module for module, promises in PROMISES.items() for name in promises}


def target_of(name: str) -> Target:
    """The target of a name."""
    module = importlib.import_module(f"trust.fuzzing.{TARGETS[name]}")
    found: Target = getattr(module, name.upper().replace("-", "_"))
    return found
