"""The lesson and the page of `gatewise serve`, as files that any web host serves and that a browser opens as files.

    lesson.html    the lesson
    index.html     the page, which computes its answers itself (`page/model/`)

The pages hold their data (`inline_page`). That of index.html, by name:

    model.json           GET /model, and when and how the page was made
    units-0.json         GET /units/{unit} of every unit, by layer
    model.lstm           the model (`lstm_file`), and
    view.json              what it says of itself in words
    worker.js            the script that computes the answers
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gatewise._version import __version__
from gatewise.errors import InputError
from gatewise.explain import explain_example
from gatewise.explain.explanation import UNMEASURED
from gatewise.explain.render.html import csp_hash, plain_table
from gatewise.explain.render.script import read_page_file, script
from gatewise.model import Model, bundled
from gatewise.serve.lstm_file import lesson_files, lstm_file
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.notices import FOREIGN
from gatewise.serve.view.view import View, unit_summary_json

MAX_INPUTS = 100
_METHODS = ("prefix-difference", "cell-decomposition", "leave-one-out")  # METHODS of model/lstm.js
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w./]+)">\n?')
_ICON = re.compile(r'<link rel="icon" href="([\w./]+)" type="image/svg\+xml">')
_PRELOAD = re.compile(r'<link rel="preload" [^>]*>\n?')
_SCRIPT = re.compile(r'<script type="module" src="([\w./]+)"></script>\n?')


def page_files(model: Model, inputs: Sequence[Any], command: str = "") -> dict[str, bytes]:
    """The files of an exported page, by name.

    inputs: texts, or series (length, channels), that the page offers as examples; none: the examples of the model.
    command: the command line that the page shows as its origin. Raises InputError for an input that the model cannot
    read, which it names by its number, and for a model that the page cannot compute (`lstm_file.unsupported`).
    """
    model_file = lstm_file(model)
    if len(inputs) > MAX_INPUTS:
        raise InputError(f"an exported page has at most {MAX_INPUTS} texts or series, not {len(inputs):,}")
    view = View(model)
    local = local_view(view)
    card = view.card | {"methods": list(local["methods"])}
    if inputs:
        card["examples"] = [_example(number, item) for number, item in enumerate(inputs, 1)]
    card["made"] = {
        "version": __version__,
        "date": str(datetime.now(UTC).date()),
        "fingerprint": view.about["fingerprint"],
        "command": command,
    }
    # Also for examples that a browser with JavaScript computes: this refuses those that the model cannot read.
    without_script = "".join(_plain(view, number, example) for number, example in enumerate(card["examples"], 1))
    data = {"model.json": _json(card)}
    for number, layer in enumerate(model.architecture.layers):
        units = [unit_summary_json(model, unit, number) for unit in range(layer.size)]
        data[f"units-{number}.json"] = _json(units)
    data["model.lstm"] = model_file
    data["view.json"] = _json(local)
    data["worker.js"] = script("model/worker.js").encode()
    files = {"index.html": inline_page("index.html", data, {"api.js": "model/api.js"}, without_script)}
    if not bundled.missing(bundled.TUTORIAL):
        files["lesson.html"] = inline_page("lesson.html", lesson_files())
    return files


def _example(number: int, item: Any) -> dict[str, Any]:
    """An input of the command line as an example of the page, in the format of GET /model."""
    if isinstance(item, str):
        return {"group": item[:32], "title": item[:70], "hint": "", "label": None, "text": item, "own": False}
    rows = np.asarray(item, dtype=np.float64).tolist()
    return {
        "group": f"Series {number}",
        "title": "",
        "hint": "",
        "label": None,
        "text": "",
        "series": [[None if np.isnan(x) else x for x in row] for row in rows],
        "own": False,
    }


def _plain(view: View, number: int, example: dict[str, Any]) -> str:
    """HTML of an example for browsers without JavaScript. Raises InputError for one that the model cannot read."""
    if example["text"]:
        kind = "text"
        value = example["text"]
    else:
        kind = "series"
        value = [list(row) for row in example["series"]]
    try:
        explained = view.example({kind: value})
    except InputError as error:
        # The library counts rows from 0. Here the number of the input says which one it is.
        reason = str(error).removeprefix("row 0: ").replace("row 0 ", "it ", 1)
        raise InputError(f"{kind} {number}: {reason}") from None
    return f"<h2>{number}</h2>{plain_table(explain_example(explained, _METHODS[0]))}"


def local_view(view: View) -> dict[str, Any]:
    """What the page says of a model whose answers it computes itself."""
    model = view.model
    metadata = model.metadata
    default_method = metadata.attribution_method
    methods = _local_methods(view)
    if default_method not in methods:
        default_method = _METHODS[0]
    frequent = None
    if view.frequent is not None:
        frequent = [view.frequent.start, view.frequent.stop]
    return {
        "model": view.about,
        "methods": methods,
        "unmeasured": UNMEASURED,
        "default_method": default_method,
        "attribution_method": metadata.attribution_method,
        "members": model.ensemble.weights_json(),
        "lstm_note": model.ensemble.lstm_note(),
        "unknown": model.preprocessor.unknown,
        "median_length": metadata.median_length,
        "frequent": frequent,
        "foreign": sorted(FOREIGN),
        "calibrated": metadata.calibrated,
    }


def _local_methods(view: View) -> dict[str, dict[str, Any]]:
    """The methods of attribution that the page computes for this model, each with its notes."""
    inputs = view.model.format
    methods = {}
    for method in _METHODS:
        request = {inputs.name: inputs.example, "include": ["attribution"], "method": method}
        try:
            attribution = view.explain(request)["attribution"]
        except RequestError:  # the model does not allow this method
            continue
        methods[method] = {name: attribution[name] for name in ("note", "faithfulness", "faithfulness_note")}
    return methods


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def inline_page(
    name: str, data: Mapping[str, bytes], swapped: Mapping[str, str] | None = None, without_script: str = ""
) -> bytes:
    """The page `name`, as "lesson.html", as one HTML file that loads nothing. Any host can serve it, and a browser can
    open it as a file. Its content security policy allows its one script and its one style by their hashes.

    data: the files that its modules read, by name; the script runs as soon as the first one has arrived. swapped:
    modules by the module that they replace. without_script: HTML for browsers without JavaScript, in place of the
    page's own.
    """
    page = read_page_file(name)
    modules = _SCRIPT.findall(page)
    if len(modules) != 1:
        raise ValueError(f"{name} must have one script, a module")
    style = "".join(map(read_page_file, _STYLE.findall(page)))
    code = script(modules[0], "", tuple(sorted((swapped or {}).items())))
    policy = (
        f"default-src 'none'; script-src '{csp_hash(code)}'; style-src '{csp_hash(style)}'; img-src data: blob:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>\n'
    for linked in (_STYLE, _SCRIPT, _PRELOAD):
        page = linked.sub("", page)
    page = page.replace("</head>", f"{meta}</head>", 1)
    for icon in _ICON.findall(page):
        encoded = base64.b64encode(read_page_file(icon).encode()).decode()
        page = page.replace(f'href="{icon}"', f'href="data:image/svg+xml;base64,{encoded}"')
    if without_script:
        start = page.index("<noscript>") + len("<noscript>")
        end = page.index("</noscript>")
        page = page[:start] + without_script + page[end:]
    packed = {file: base64.b64encode(gzip.compress(raw, mtime=0)).decode() for file, raw in data.items()}
    blocks = [f'<script type="text/plain" data-file="{file}">{text}</script>\n' for file, text in packed.items()]
    # After the first file, which the script needs at once; the others arrive while it runs.
    blocks.insert(1, f"<script>{code}</script>\n")
    return page.replace("</body>", f"{''.join(blocks)}</body>", 1).encode()
