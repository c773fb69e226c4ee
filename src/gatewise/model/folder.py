"""What the folders of models, forecasters and pretrained language models share: where they are, config.json, errors.

The files of the folder of a model:

    config.json         format, target, preprocessor, members with their weights, shift, metadata
    lstm.safetensors, ngrams.safetensors, ...   the arrays of each member
    README.md           the model card, for people; it is not read back
    tokenizer.json or vocabulary.json   the vocabulary of a text model
    history.jsonl       the training history
    units.json          the report on the units (`gatewise.model.reports.with_units`)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.extensions import FOLDER_SOURCES
from gatewise.model import bundled
from gatewise.storage.folder import CONFIG, Folder, load_folder
from gatewise.storage.strict_json import parse_json

FORMAT = 2  # of a model folder; gatewise 0.1 before the members were stored apart wrote 1
HISTORY = "history.jsonl"


def open_folder(path: str | Path | None) -> Folder:
    """The files of a folder, of an address such as "hf://owner/name" (`FOLDER_SOURCES`), or of the bundled model
    (None), checked against their manifest. Raises ModelFileError.
    """
    if isinstance(path, str) and "://" in path:
        scheme, _, _ = path.partition("://")
        if scheme in FOLDER_SOURCES:
            folder: Folder = FOLDER_SOURCES[scheme](path)
            return folder
    return load_folder(bundled.resolve(path))


def kind_of(folder: Folder) -> str | None:
    """What the folder says that it holds: "model", "forecaster" or `gatewise.model.pretrained.KIND`; None for no
    configuration and for a kind that is not text. Raises ModelFileError that names its path for a config.json that is
    not JSON.
    """
    with errors_of(folder):
        config = parse_json(folder.read(CONFIG), CONFIG)
    kind = config.get("kind", "model") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def config_of(folder: Folder, kind: str, keys: set[str]) -> dict[str, Any]:
    """config.json of a folder of this kind with these keys. Raises ModelFileError for another kind or format."""
    where = f"{folder.path}/{CONFIG}"
    config = parse_json(folder.read(CONFIG), CONFIG)
    found = config.get("kind", "model") if isinstance(config, dict) else kind
    if found == "forecaster" and kind != found:
        raise ModelFileError(
            f"{folder.path} is a forecaster, made by `gatewise forecast`: `gatewise info` describes it, and gw.load "
            "opens it in Python"
        )
    if found != kind:
        raise ModelFileError(f"{where}: kind must be {kind!r}, not {quote(found, 40)}")
    if isinstance(config, dict) and "format" in keys and config.get("format") != FORMAT:
        raise ModelFileError(
            f"{where}: the folder has format {quote(config.get('format', 1), 20)}; this version of gatewise reads "
            f"format {FORMAT}: train the model again"
        )
    if not isinstance(config, dict) or set(config) != keys:
        raise ModelFileError(f"{where}: the keys must be {', '.join(sorted(keys))}")
    return config


@contextmanager
def errors_of(folder: Folder) -> Iterator[None]:
    """Errors of the content of a folder within the block, as ModelFileError that names its path."""
    where = str(folder.path)
    try:
        yield
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{where}: {HISTORY}: not UTF-8 at byte {error.start}") from error
    except (InputError, ModelFileError) as error:
        raise ModelFileError(str(error) if where in str(error) else f"{where}: {error}") from error
