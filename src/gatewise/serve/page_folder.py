"""The lesson and the page of `gatewise serve`, as files that any web host serves and that a browser opens as files.

    lesson.html    the lesson
    index.html     the page; with a model that the page can compute (`lstm_file`) for any text, else for fixed ones
    export.json    the names of all files

The pages hold their data (`inlined`). That of index.html, by name:

    model.json           GET /model, and what was exported
    units-0.json         GET /units/{unit} of every unit, by layer
    model.lstm           the model, where the page computes its answers itself (`localapi.js`), and
    view.json              what it says of itself in words
    text-1.json          else prediction, prefix predictions, attributions and units of a text, by number
    heatmaps-1-0.json      and its heat maps, by layer
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gatewise._version import __version__
from gatewise.errors import DataError, InputError, quote
from gatewise.explain import serialize
from gatewise.explain.attribution import METHODS
from gatewise.explain.example import Example
from gatewise.explain.explanation import UNMEASURED, explain_example
from gatewise.explain.render.html import plain_table
from gatewise.explain.render.script import script
from gatewise.model import bundled
from gatewise.model.model import Model
from gatewise.serve.inlined import inline_page
from gatewise.serve.lstm_file import lesson_files, lstm_file, unsupported
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.model import unit_json
from gatewise.serve.view.notices import FOREIGN
from gatewise.serve.view.view import View
from gatewise.storage.atomic import reason

MAX_INPUTS = 100
_MANIFEST = "export.json"
_FORMAT = "gatewise page"
_OWN_UNITS = 32  # per layer, those with a record of their own; the other units are rows of the heat maps
_LOCAL_METHODS = ("prefix-difference", "cell-decomposition", "leave-one-out")  # METHODS of lstm.js
_TEXT = "A film to see twice."


def page_files(
    model: Model, inputs: Sequence[Any], command: str = ""
) -> tuple[dict[str, bytes], list[tuple[int, str, str]]]:
    """The files of an exported page, by name; and the attributions that are left out because they take too long, as
    (number of the input, method, reason).

    inputs: texts, or series (length, channels); none: the examples of the model. command: the one that made the page,
    as the page shows it. Raises InputError, which names the input by its number, for one that the model or the page
    cannot read.
    """
    view = View(model)
    shown = view.card
    requests = [_request(item) for item in inputs] or [_own_input(one) for one in shown["examples"]]
    is_live = not unsupported(model)
    if not 0 < len(requests) <= MAX_INPUTS and not (is_live and not requests):
        own = "" if requests else ": this model keeps no examples; give texts, or files with -i"
        raise InputError(f"an exported page has 1 to {MAX_INPUTS} texts or series, not {len(requests):,}{own}")
    made = {
        "version": __version__,
        "date": str(datetime.now(UTC).date()),
        "fingerprint": view.about["fingerprint"],
        "command": command,
    }
    data: dict[str, bytes] = {}
    left_out: list[tuple[int, str, str]] = []
    static: list[str] = []
    for number, request in enumerate(requests, 1):
        try:
            example = view.example(request)
            if is_live:
                static.append(_plain(number, example, _LOCAL_METHODS[0]))
                continue
            answer, skipped = _text_json(view, request)
        except InputError as error:
            kind = "text" if "text" in request else "series"
            alone = str(error).removeprefix("row 0: ").replace("row 0 ", "it ", 1)
            raise InputError(f"{kind} {number}: {alone}") from None
        static.append(_plain(number, example, answer["method"]))
        left_out += [(number, method, why) for method, why in skipped.items()]
        data[f"text-{number}.json"] = _json(answer)
        for layer in range(len(model.architecture.layers)):
            data[f"heatmaps-{number}-{layer}.json"] = _json(serialize.heatmaps_json(example, layer))
    for number, shape in enumerate(model.architecture.layers):
        data[f"units-{number}.json"] = _json([unit_json(model, k, number) for k in range(shape.size)])
    if is_live:
        shown |= {"made": made} | ({"examples": [_example(one) for one in requests]} if inputs else {})
        data["model.lstm"] = lstm_file(model)
        data["view.json"] = _json(_local_view(view))
        data["localworker.js"] = script("localworker.js").encode()
    else:
        shown |= {"exported": {"inputs": requests, **made}}
    data["model.json"] = _json(shown)
    swapped = {"api.js": "localapi.js" if is_live else "staticapi.js"}
    found = {"index.html": inline_page("index.html", data, swapped, "".join(static))}
    if not bundled.missing(bundled.TUTORIAL):
        found["lesson.html"] = inline_page("lesson.html", lesson_files())
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


def _text_json(view: View, request: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers for one input, and the methods that are left out, each with the reason."""

    def explain(*include: str, **more: object) -> dict[str, Any]:
        answer = view.explain({**request, **more, "include": list(include)})
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
    example = view.example(request)
    layers = []
    for layer in range(len(view.model.architecture.layers)):
        units = serialize.units_json(example, layer)
        order = units["order"].get("effect", units["order"]["jump"])
        own = [serialize.unit_json(example, k, layer) for k in order[:_OWN_UNITS]]
        layers.append({"units": units, "unit": own})
    return {"answer": answer, "method": default["method"], "attributions": attributions, "layers": layers}, left_out


def _plain(number: int, example: Example, method: str) -> str:
    """HTML for browsers without JavaScript."""
    return f"<h2>{number}</h2>{plain_table(explain_example(example, method))}"


def _own_input(example: Mapping[str, Any]) -> dict[str, Any]:
    """The request for an example that the model keeps."""
    return {name: example[name] for name in ("text", "series") if example.get(name)}


def _example(request: Mapping[str, Any]) -> dict[str, Any]:
    """A given text as an example of the page, as GET /model has them."""
    return {"name": request["text"][:32], "hint": "", "label": None, "text": request["text"], "own": False}


def _local_view(view: View) -> dict[str, Any]:
    """What the page says of a model whose answers it computes itself."""
    model, methods, frequent = view.model, {}, view.frequent
    for method in _LOCAL_METHODS:
        asked = {"text": _TEXT, "include": ["attribution"], "method": method}
        found = view.explain(asked)["attribution"]
        names = "note", "base_value_note", "faithfulness", "faithfulness_note"
        methods[method] = {name: found[name] for name in names}
    return {
        "model": view.about,
        "methods": methods,
        "unmeasured": UNMEASURED,
        "default_method": _LOCAL_METHODS[0],
        "attribution_method": model.metadata.attribution_method,
        "members": model.ensemble.weights_json(),
        "unknown": model.preprocessor.unknown,
        "median_length": model.metadata.median_length,
        "frequent": None if frequent is None else [frequent.start, frequent.stop],
        "foreign": sorted(FOREIGN),
        "calibrated": model.metadata.calibration is not None,
    }


def _json(found: object) -> bytes:
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
