"""The page of `gatewise serve` for fixed texts, as a folder that any web host serves: the page's own files, and the
answers of its API computed beforehand.

    index.html, *.css, *.js          the page; api.js reads the files below instead of asking a server
    model.json                       GET /model, and `exported`: the inputs, and how they were exported
    units-0.json                     GET /units/{unit} of every unit, by layer
    text-1.json                      prediction, prefix predictions, attributions and units of a text, by number
    heatmaps-1-0.json                its heat maps, by layer
    export.json                      the names of all files
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gatewise._version import __version__
from gatewise.errors import DataError, InputError, quote
from gatewise.explain import serialize
from gatewise.explain.attribution import METHODS
from gatewise.explain.explanation import explain_example
from gatewise.explain.render.html import csp_hash, plain_table, read_page_file
from gatewise.model.model import Model
from gatewise.serve.schemas import RequestError
from gatewise.serve.view import view
from gatewise.serve.view.model import ViewCache, model_view, unit_view
from gatewise.storage.atomic import reason

MAX_INPUTS = 100
_MANIFEST = "export.json"
_FORMAT = "gatewise page"
_OWN_UNITS = 32  # per layer, those with a record of their own; the other units are rows of the heat maps
_LOADING_STYLE = "#loading{animation:loading 0s 3s both}@keyframes loading{from{visibility:hidden}}"
_LOADING = (
    '<p id="loading" class="noscript">If this page stays empty, it was opened as a file. Serve its folder over HTTP, '
    "for example with <code>python -m http.server</code>.</p>"
)


def page_files(
    model: Model, inputs: Sequence[Any], command: str = ""
) -> tuple[dict[str, bytes], list[tuple[int, str, str]]]:
    """The files of an exported page, by name; and the attributions that are left out because they take too long, as
    (number of the input, method, reason).

    inputs: texts, or series (length, channels). command: the one that made the page, as the page shows it. Raises
    InputError, which names the input by its number, for one that the model or the page cannot read.
    """
    if not 0 < len(inputs) <= MAX_INPUTS:
        raise InputError(f"an exported page has 1 to {MAX_INPUTS} texts or series, not {len(inputs):,}")
    cache = ViewCache()
    found: dict[str, bytes] = {}
    left_out: list[tuple[int, str, str]] = []
    static: list[str] = []
    requests = [_request(item) for item in inputs]
    for number, request in enumerate(requests, 1):
        try:
            answer, skipped = _text_json(model, request, cache)
        except InputError as error:
            kind = "text" if "text" in request else "series"
            raise InputError(f"{kind} {number}: {error}") from None
        left_out += [(number, method, why) for method, why in skipped.items()]
        found[f"text-{number}.json"] = _json(answer)
        example = view.viewed_example(model, request, cache)
        for layer in range(len(model.architecture.layers)):
            found[f"heatmaps-{number}-{layer}.json"] = _json(serialize.heatmaps_json(example, layer))
        static.append(f"<h2>{number}</h2>{plain_table(explain_example(example, answer['method']))}")
    for number, shape in enumerate(model.architecture.layers):
        found[f"units-{number}.json"] = _json([unit_view(model, k, number) for k in range(shape.size)])
    exported = {
        "inputs": requests,
        "version": __version__,
        "date": str(datetime.now(UTC).date()),
        "fingerprint": cache.fingerprint(model),
        "command": command,
    }
    found["model.json"] = _json(model_view(model, cache) | {"exported": exported})
    found |= _page(static)
    found[_MANIFEST] = _json({"format": _FORMAT, "version": __version__, "files": sorted(found)})
    return found, left_out


def check_page_folder(path: str, overwrite: bool) -> Path:
    """The real path of the folder. Raises InputError for one that exists, unless it is to be replaced; and for a file,
    and a folder with anything but an exported page, in any case.
    """
    where = quote(path, 200)
    try:
        target = Path(path).resolve()
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return target
        if not target.is_dir():
            raise InputError(f"{where}: exists and is not a folder")
        names = {one.name for one in target.iterdir()}
        made = json.loads((target / _MANIFEST).read_bytes()) if _MANIFEST in names else {}
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be written: {reason(error)}") from None
    if not isinstance(made, dict) or made.get("format") != _FORMAT or not isinstance(made.get("files"), list):
        raise InputError(f"{where}: contains files and is not an exported page")
    if extra := sorted(names - set(map(str, made["files"])) - {_MANIFEST}):
        raise InputError(f"{where}: contains {quote(extra[0])}, which is not part of the exported page")
    if not overwrite:
        raise InputError(f"{where}: exists already; --overwrite replaces it")
    return target


def _request(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"text": item}
    rows = np.asarray(item, dtype=np.float64).tolist()
    return {"series": [[None if np.isnan(x) else x for x in row] for row in rows]}


def _text_json(model: Model, request: Mapping[str, object], cache: ViewCache) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers for one input, and the methods that are left out, each with the reason."""

    def explain(*include: str, **more: object) -> dict[str, Any]:
        answer = view.explain_view(model, {**request, **more, "include": list(include)}, cache)
        del answer["cache"]  # times
        return answer

    answer = explain("prediction", "prefix:all", "attribution")
    default = answer.pop("attribution")
    attributions, left_out = {default["method"]: default}, dict[str, str]()
    for method in METHODS:
        try:
            if method not in attributions:
                attributions[method] = explain("attribution", method=method)["attribution"]
        except RequestError as error:
            left_out[method] = error.message
    for one in attributions.values():
        one["methods"] = [method for method in METHODS if method in attributions]
    example = view.viewed_example(model, request, cache)
    layers = []
    for layer in range(len(model.architecture.layers)):
        units = serialize.units_json(example, layer)
        order = units["order"].get("effect", units["order"]["jump"])
        own = [serialize.unit_json(example, k, layer) for k in order[:_OWN_UNITS]]
        layers.append({"units": units, "similarity": serialize.similarity_json(example, layer), "unit": own})
    return {"answer": answer, "method": default["method"], "attributions": attributions, "layers": layers}, left_out


def _page(static: Sequence[str]) -> dict[str, bytes]:
    """The files of the page itself. static: HTML per input, for browsers without JavaScript."""
    source = files("gatewise.serve") / "page"
    found = {one.name: one.read_bytes() for one in source.iterdir() if one.name.endswith((".css", ".js", ".svg"))}
    found["api.js"] = found.pop("staticapi.js")
    for name in ("report.js", "explanation.js", "docs.js", "docs.css"):
        del found[name]
    page = read_page_file("index.html")
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self' '{csp_hash(_LOADING_STYLE)}'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{_LOADING_STYLE}</style>\n'
    page = page.replace('<meta name="viewport"', f'{head}<meta name="viewport"', 1)
    start, end = page.index("<noscript>"), page.index("</noscript>")
    found["index.html"] = f"{page[:start]}{_LOADING}<noscript>{''.join(static)}{page[end:]}".encode()
    return found


def _json(found: object) -> bytes:
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
