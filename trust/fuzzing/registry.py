"""All targets by name. They are imported one at a time: a process with AddressSanitizer loads no more than it tests."""

from __future__ import annotations

import importlib

from trust.fuzzing.target import Target

TARGETS = {
    "json": "trust.fuzzing.stored:JSON",
    "safetensors": "trust.fuzzing.stored:SAFETENSORS",
    "tokenizer": "trust.fuzzing.stored:TOKENIZER",
    "ts": "trust.fuzzing.data:TS",
    "arff": "trust.fuzzing.data:ARFF",
    "ucr": "trust.fuzzing.data:UCR",
    "csv": "trust.fuzzing.data:CSV",
    "tsv": "trust.fuzzing.data:TSV",
    "json-rows": "trust.fuzzing.data:JSON_ROWS",
    "npz": "trust.fuzzing.data:NPZ",
    "onnx": "trust.fuzzing.foreign:ONNX",
    "trials": "trust.fuzzing.foreign:TRIALS",
    "kernels": "trust.fuzzing.kernels:KERNELS",
}


def target_of(name: str) -> Target:
    """The target of a name, or of MODULE:ATTRIBUTE."""
    module, _, attribute = TARGETS.get(name, name).partition(":")
    found: Target = getattr(importlib.import_module(module), attribute)
    return found
