"""A hostile Hugging Face Hub: changed and forged files, and headers and names that point elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import gatewise as gw
from gatewise.errors import GatewiseError
from gatewise.exchange.hub import download
from gatewise.storage.folder import MANIFEST, save_folder
from tests.exchange.hub_server import Hub, _Handler, hub_server
from trust.attack import Attacks, check_message
from trust.attacks.folders import Files, check_weights, forge, models, use_model, weights_file
from trust.mutate import Rng, choice

ATTACKS = Attacks()
_RUNNING = ExitStack()  # the Hub of this process
REPO = "someone/model"
ELSEWHERE = ["../../evil", "/tmp/gatewise-evil", "..", "a/../../../evil", "evil\\..\\evil", "\x01", "e" * 300, ""]


class _Hostile(Hub):
    """header: the name of a response header, or "sha" for the field of the API, and what it holds."""

    header: tuple[str, str] | None = None


class _Liar(_Handler):
    hub: _Hostile

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        name, value = self.hub.header or ("", "")
        if name == "sha" and b'"sha"' in content:
            content = json.dumps(json.loads(content) | {"sha": value}).encode()
        elif name in headers:
            headers = {**headers, name: json.dumps(value) if name == "ETag" else value}
        super()._answer(status, content, headers)


@cache
def hub() -> _Hostile:
    """The Hub of this process, which `download` asks."""
    from huggingface_hub import constants

    found = _Hostile()
    _, os.environ["HF_ENDPOINT"] = _RUNNING.enter_context(hub_server(found, _Liar))
    os.environ.pop("GATEWISE_OFFLINE", None)
    constants.HF_HUB_ETAG_TIMEOUT = 120  # a busy machine answers late
    models()
    return found


def _damaged(rng: Rng, files: Files) -> Files:
    """A pushed folder of which files were changed, exchanged or removed, or that names other files."""
    if rng.random() < 0.8:
        return forge(rng, files, [files])
    listed = json.loads(files[MANIFEST])
    entry = {"bytes": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    listed["files"] = {choice(rng, ELSEWHERE): entry} | listed["files"]
    return files | {MANIFEST: json.dumps(listed).encode()}


@ATTACKS.add("hostile-hub", 20, 2_000, prepare=hub)
def _hub(rng: Rng, folder: Path) -> None:
    """A model from the Hugging Face Hub loads as it was pushed or is refused in one line. A forged one loads the
    weights that its file holds, or is refused. Nothing is written outside the cache.

    a Hub with changed, exchanged and missing files, forged files with a manifest that fits, and names, commits and
    headers that point to other folders
    """
    from huggingface_hub import constants

    good = models()
    files, inputs = choice(rng, good)
    forged = bool(rng.random() < 0.4)
    temporary, before = folder / "temporary", tempfile.tempdir
    temporary.mkdir()
    try:
        tempfile.tempdir, constants.HF_HUB_CACHE = str(temporary), str(folder / "cache" / "hub")
        save_folder(folder / "pushed", forge(rng, files, [other for other, _ in good]) if forged else files)
        pushed = {path.name: path.read_bytes() for path in (folder / "pushed").iterdir()}
        served = pushed if forged else _damaged(rng, pushed)
        hub().commits.clear()
        hub().branches.clear()
        hub().create(REPO, private=False)
        hub().commit(REPO, "main", served)
        lies = rng.random() < 0.3
        hub().header = (choice(rng, ["ETag", "X-Repo-Commit", "sha"]), choice(rng, ELSEWHERE)) if lies else None
        found = download(f"hf://{REPO}").files
        assert forged or dict(found) == files, "a changed model was loaded"
        model = gw.load(f"hf://{REPO}")
        check_weights(model.parameters, weights_file(found))
        use_model(model, inputs, rng)
    except GatewiseError as error:
        check_message(error)
    finally:
        tempfile.tempdir = before
        left = {str(path.relative_to(folder)) for part in ("*", "temporary/*", "cache/*") for path in folder.glob(part)}
        left |= {str(path) for path in Path("/tmp").glob("gatewise-evil")}
        left -= {"cache", "cache/hub", "pushed", "temporary"}
        assert not left, f"written outside the cache: {sorted(left)}"
