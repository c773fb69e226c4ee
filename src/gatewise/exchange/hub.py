"""Model folders on the Hugging Face Hub: `hf://owner/name`, or `hf://owner/name@revision` with a branch, tag or commit.

A download is checked like any model folder. The model card on the Hub is not part of the checked files, so that it can
be edited there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.storage.download import offline
from gatewise.storage.folder import Folder, load_folder, parse_manifest, save_folder

SCHEME = "hf://"
CARD = "README.md"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^\s@]+))?", re.ASCII)


class HubEvaluation(NamedTuple):
    """One figure for the card's metadata block: data set, name of the metric ("accuracy"), value."""

    data: str
    metric: str
    value: float


def download(address: str) -> Folder:
    """The verified files of the model at `address`, all of one commit; they stay in huggingface_hub's cache.

    With GATEWISE_OFFLINE only the cache is read. Raises InputError for another form of address, ModelFileError for an
    unknown model or revision, a failed connection, and whatever `load_folder` refuses.
    """
    hub, (repo, revision) = _huggingface_hub(), _parse(address)
    with _one_line_errors(hub, address), TemporaryDirectory() as folder:
        api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        if not offline():
            revision = api.model_info(repo, revision=revision).sha

        def fetch(name: str) -> bytes:
            found = api.hf_hub_download(repo, name, revision=revision, local_files_only=offline())
            return Path(shutil.copyfile(found, Path(folder, name))).read_bytes()

        for name in parse_manifest(fetch("manifest.json"), quote(address, 200)):
            fetch(name)
        try:
            return load_folder(folder)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(folder, address)) from error


def upload(repo: str, files: Mapping[str, bytes], card: str, *, private: bool, revision: str | None) -> str:
    """Commit a model folder with its card to the model `repo`, "owner/name", which is created if there is none.

    revision: the branch; None: main. Returns the address of the commit. Errors as `download`.
    """
    hub, address = _huggingface_hub(), f"{SCHEME}{repo}"
    _parse(address)
    with _one_line_errors(hub, address), TemporaryDirectory() as folder:
        save_folder(Path(folder, "model"), {name: raw for name, raw in files.items() if name != CARD})
        Path(folder, "model", CARD).write_text(card, encoding="utf-8")
        api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=Path(folder, "model"),
            revision=revision,
            commit_message="Upload a gatewise model",
        )
        return f"{address}@{commit.oid}"


def hub_card(card: str, repo: str, pipeline_tag: str | None, evaluations: Sequence[HubEvaluation]) -> str:
    """The model card with the metadata block from which the Hub shows library, task and results."""
    hub = _huggingface_hub()
    results = [
        hub.EvalResult(
            task_type=pipeline_tag or "other",
            dataset_type="other",
            dataset_name=one.data,
            metric_type=one.metric,
            metric_value=one.value,
        )
        for one in evaluations
    ]
    about = hub.ModelCardData(
        library_name="gatewise",
        pipeline_tag=pipeline_tag,
        tags=["gatewise", "lstm"],
        model_name=repo,
        eval_results=results or None,
    )
    return f"---\n{about.to_yaml()}\n---\n\n{card}"


def _parse(address: str) -> tuple[str, str | None]:
    """Repository and revision of an address."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(f"{quote(address, 200)}: an address on the Hub is hf://owner/name or hf://owner/name@revision")
    return found[1], found[2]


def _huggingface_hub() -> Any:  # it comes with tokenizers
    hub = required("huggingface_hub", "train", "an address on the Hugging Face Hub")
    import_module("huggingface_hub.errors")
    return hub


@contextmanager
def _one_line_errors(hub: Any, address: str) -> Iterator[None]:
    """Errors of huggingface_hub as ModelFileError."""
    errors, where = hub.errors, quote(address, 200)
    try:
        yield
    except ModelFileError:
        raise
    except errors.RepositoryNotFoundError as error:
        raise ModelFileError(f"{where}: the Hub has no such model, or it is private and needs a token") from error
    except errors.RevisionNotFoundError as error:
        raise ModelFileError(f"{where}: the model has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        why = "not in the cache, and GATEWISE_OFFLINE forbids downloads" if offline() else _first_line(error)
        raise ModelFileError(f"{where}: {why}") from error
    except errors.EntryNotFoundError as error:
        raise ModelFileError(f"{where}: not a gatewise model: a file is missing: {_first_line(error)}") from error
    # The bases of the Hub's own error are those of its HTTP library, whose connection errors pass through.
    except (OSError, ValueError, *errors.HfHubHTTPError.__bases__) as error:
        raise ModelFileError(f"{where}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return quote(next(iter(str(error).strip().splitlines()), type(error).__name__), 200)
