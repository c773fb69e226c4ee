"""Model folders on the Hugging Face Hub: `hf://owner/name`, or `hf://owner/name@revision` with a branch, tag or commit.

A download is checked like any model folder. The model card on the Hub is not part of the checked files, so that it can
be edited there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.storage.atomic import write_atomic
from gatewise.storage.download import offline
from gatewise.storage.folder import MANIFEST, Folder, load_folder, parse_manifest, save_folder

SCHEME = "hf://"
CARD = "README.md"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^\s@]+))?", re.ASCII)


def download(address: str) -> Folder:
    """The verified files of the model at `address`, all of one commit; they stay in huggingface_hub's cache. They are
    fetched and written here: huggingface_hub takes names of files in its cache from headers of the response.

    With GATEWISE_OFFLINE only the cache is read. Raises InputError for another form of address, ModelFileError for an
    unknown model or revision, a failed connection, and whatever `load_folder` refuses.
    """
    hub, (repo, revision) = _huggingface_hub(), _parse(address)
    with _one_line_errors(hub, address), TemporaryDirectory() as folder:
        fetch = partial(_cached, hub, repo, revision) if offline() else _fetcher(hub, repo, revision, address)
        manifest = fetch(MANIFEST)
        for name in (MANIFEST, *parse_manifest(manifest, quote(address, 200))):
            Path(folder, name).write_bytes(manifest if name == MANIFEST else fetch(name))
        try:
            return load_folder(folder)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(folder, address)) from error


def _cached(hub: Any, repo: str, revision: str | None, name: str) -> bytes:
    """A file of the cache."""
    return Path(hub.hf_hub_download(repo, name, revision=revision, local_files_only=True)).read_bytes()


def _fetcher(hub: Any, repo: str, revision: str | None, address: str) -> Callable[[str], bytes]:
    """A function that gives a file of the commit, from the cache or else from the Hub, and keeps it in the cache."""
    endpoint = os.environ.get("HF_ENDPOINT")
    commit = str(hub.HfApi(endpoint=endpoint).model_info(repo, revision=revision).sha)
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise ModelFileError(f"{quote(address, 200)}: the Hub names the commit {quote(commit)}")
    cache = Path(hub.constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")

    def fetch(name: str) -> bytes:
        file = cache / "snapshots" / commit / name
        if not file.exists():
            url = hub.hf_hub_url(repo, name, revision=commit, endpoint=endpoint)
            response = hub.utils.get_session().get(url, headers=hub.utils.build_hf_headers())
            hub.utils.hf_raise_for_status(response)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, response.content)
        return file.read_bytes()

    branch = revision or "main"
    if branch != commit and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", branch):
        (cache / "refs" / branch).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache / "refs" / branch, commit.encode())  # under which the cache is read offline
    return fetch


def upload(
    repo: str,
    files: Mapping[str, bytes],
    evaluations: Sequence[tuple[str, str, float]],
    pipeline_tag: str | None,
    *,
    private: bool,
    revision: str | None,
) -> str:
    """Commit a model folder to the model `repo`, "owner/name", which is created if there is none.

    The card gets a metadata block from which the Hub shows library, task and results. evaluations: data set, name of
    the metric ("accuracy") and value of each. revision: the branch; None: main. Returns the address of the commit.
    Errors as `download`.
    """
    hub, address = _huggingface_hub(), f"{SCHEME}{repo}"
    _parse(address)
    results = [
        hub.EvalResult(
            task_type=pipeline_tag or "other",
            dataset_type="other",
            dataset_name=data,
            metric_type=metric,
            metric_value=value,
        )
        for data, metric, value in evaluations
    ]
    about = hub.ModelCardData(
        library_name="gatewise",
        pipeline_tag=pipeline_tag,
        tags=["gatewise", "lstm"],
        model_name=repo,
        eval_results=results or None,
    )
    with _one_line_errors(hub, address), TemporaryDirectory() as folder:
        save_folder(Path(folder, "model"), {name: raw for name, raw in files.items() if name != CARD})
        card = f"---\n{about.to_yaml()}\n---\n\n{files[CARD].decode()}"
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
