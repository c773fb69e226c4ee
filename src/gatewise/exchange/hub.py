"""Model folders on the Hugging Face Hub: `hf://owner/name`, or `hf://owner/name@revision` with a branch, tag or commit.

A download is checked like any model folder. The model card on the Hub is not part of the checked files, so that it can
be edited there.
"""

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.model import Model
from gatewise.storage.atomic import write_atomic
from gatewise.storage.download import offline
from gatewise.storage.folder import MANIFEST, MAX_MANIFEST, Folder, load_folder, parse_manifest, save_folder

SCHEME = "hf://"
CARD = "README.md"
_TIMEOUT = 20.0  # seconds without a byte
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([^\s@]+))?", re.ASCII)


def download(address: str) -> Folder:
    """The verified files of the model at `address`, all of one commit; they stay in huggingface_hub's cache.

    The manifest, of at most 64 KB, says the size and SHA-256 of each file. They are compared with the header of the
    response before the file is read, no more than this size is read, and a file is kept in the cache only if it is the
    one of the manifest. Files are fetched and written here: huggingface_hub takes names of files in its cache from
    headers of the response, and reads any number of bytes.

    With GATEWISE_OFFLINE only the cache is read. Raises InputError for another form of address, ModelFileError for an
    unknown model or revision, a failed connection, a redirect to a host that is not the Hub's, and whatever
    `load_folder` refuses.
    """
    hub = _huggingface_hub()
    repo, revision = _parse(address)
    with _one_line_errors(hub, address), TemporaryDirectory() as folder:
        source = _Files(hub, repo, revision, address)
        manifest = source.read(MANIFEST, MAX_MANIFEST)
        Path(folder, MANIFEST).write_bytes(manifest)
        for name, entry in parse_manifest(manifest, quote(address, 200)).items():
            Path(folder, name).write_bytes(source.read(name, entry["bytes"], entry["sha256"]))
        try:
            return load_folder(folder)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(folder, address)) from error


class _Files:
    """The files of a commit in huggingface_hub's cache, fetched from the Hub unless downloads are forbidden."""

    def __init__(self, hub: Any, repo: str, revision: str | None, address: str) -> None:
        self.hub = hub
        self.repo = repo
        self.revision = revision
        self.endpoint = os.environ.get("HF_ENDPOINT")
        if offline():
            return
        self.revision = str(hub.HfApi(endpoint=self.endpoint).model_info(repo, revision=revision).sha)
        if not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise ModelFileError(f"{quote(address, 200)}: the Hub names the commit {quote(self.revision)}")
        cache = Path(hub.constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")
        self.snapshot = cache / "snapshots" / self.revision
        branch = revision or "main"
        if branch != self.revision and re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", branch):
            # Offline, huggingface_hub finds the commit of a branch in this file.
            reference = cache / "refs" / branch
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(reference, self.revision.encode())

    def read(self, name: str, size: int, digest: str = "") -> bytes:
        """A file of `size` bytes; of at most so many without its SHA-256."""
        if offline():
            file = Path(self.hub.hf_hub_download(self.repo, name, revision=self.revision, local_files_only=True))
            return _read_cached(name, file, size, digest)
        file = self.snapshot / name
        if file.exists():
            return _read_cached(name, file, size, digest)
        url = self.hub.hf_hub_url(self.repo, name, revision=self.revision, endpoint=self.endpoint)
        headers = {**self.hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}
        opener = urllib.request.build_opener(_Redirects)
        with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
            content = _checked(name, response, int(response.headers.get("Content-Length") or 0), size, digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content)
        return content


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To the Hub's own hosts alone, and without the token to another host than the first."""

    max_redirections = 5

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old = urlsplit(req.full_url)
        new = urlsplit(newurl)
        old_host = old.hostname or ""
        new_host = new.hostname or ""
        of_hub = f".{new_host}".endswith((f".{old_host}", ".huggingface.co", ".hf.co"))
        if new.scheme not in ("https", old.scheme) or not of_hub:
            raise ModelFileError(f"the file is on {quote(f'{new.scheme}://{new_host}')}, not on a host of the Hub")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (new_host, new.port) != (old_host, old.port):
            request.remove_header("Authorization")
        return request


def _read_cached(name: str, file: Path, size: int, digest: str) -> bytes:
    """The content of a file of the cache, see `_checked`."""
    with open(file, "rb") as opened:
        return _checked(name, opened, os.fstat(opened.fileno()).st_size, size, digest)


def _checked(name: str, source: Any, length: int, size: int, digest: str) -> bytes:
    """The content of a file or response that says that it has `length` bytes. Raises ModelFileError unless it has the
    size and the digest; without a digest at most this size.
    """
    content = b""
    if length <= size:
        # One byte more tells a file that is longer than it says, without reading all of it.
        content = source.read(size + 1)
    length = max(length, len(content))
    if length > size or (digest and length != size):
        allowed = f"{MANIFEST} says {size:,}" if digest else f"more than the {size:,} allowed"
        more = " or more" if length > size else ""
        raise ModelFileError(f"{name} has {length:,} bytes{more}, {allowed}")
    if digest and sha256(content).hexdigest() != digest:
        raise ModelFileError(f"{name} was changed or damaged: its SHA-256 is not that of {MANIFEST}")
    return content


def push_to_hub(model: Model, repo: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload the folder of a model and its card to the Hugging Face Hub, as one commit.

    >>> gw.push_to_hub(gw.load(), "owner/name")  # doctest: +SKIP
    'hf://owner/name@6e1a...'

    repo: "owner/name"; created if there is none. revision: the branch; None: main. The token is the one of `hf auth
    login` or HF_TOKEN. Returns the address of the commit, which `gatewise.load` opens. Raises ModelFileError with the
    Hub's reason.
    """
    evaluations = []
    for evaluation in model.metadata.evaluations:
        if evaluation.accuracy is not None:
            evaluations.append((evaluation.data, "accuracy", evaluation.accuracy))
        evaluations += [(evaluation.data, name, value) for name, value in evaluation.scores.items()]
    return _upload(repo, model.to_files(), evaluations, _pipeline_tag(model), private=private, revision=revision)


def _pipeline_tag(model: Model) -> str | None:
    """The task by which the Hub lists the model; it has none for series and for numbers."""
    if model.preprocessor.inputs.kind != "tokens" or model.task == "regression":
        return None
    return "token-classification" if model.target.per_step else "text-classification"


def _upload(
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
    hub = _huggingface_hub()
    address = f"{SCHEME}{repo}"
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
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(f"{quote(address, 200)}: an address on the Hub is hf://owner/name or hf://owner/name@revision")
    repo, revision = match.groups()
    return repo, revision


def _huggingface_hub() -> Any:  # it comes with tokenizers
    hub = required("huggingface_hub", "train", "an address on the Hugging Face Hub")
    import_module("huggingface_hub.errors")
    return hub


@contextmanager
def _one_line_errors(hub: Any, address: str) -> Iterator[None]:
    """Errors of huggingface_hub as ModelFileError."""
    errors = hub.errors
    where = quote(address, 200)
    try:
        yield
    except ModelFileError as error:
        if str(error).startswith(where):
            raise
        raise ModelFileError(f"{where}: {error}") from error
    except urllib.error.HTTPError as error:
        error.close()
        what = "not a gatewise model: a file is missing: " if error.code == 404 else ""
        raise ModelFileError(f"{where}: {what}HTTP {error.code} for {quote(error.url, 200)}") from error
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
