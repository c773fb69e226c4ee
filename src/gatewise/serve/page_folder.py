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
from gatewise.explain.explanation import UNMEASURED, explain_example
from gatewise.explain.render.html import csp_hash, plain_table
from gatewise.explain.render.script import read_page_file, script
from gatewise.model import bundled
from gatewise.model.model import Model
from gatewise.serve.lstm_file import lesson_files, lstm_file
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.notices import FOREIGN
from gatewise.serve.view.view import View, unit_json

MAX_INPUTS = 100
_METHODS = ("prefix-difference", "cell-decomposition", "leave-one-out")  # METHODS of model/lstm.js
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w./]+)">\n?')
_ICON = re.compile(r'<link rel="icon" href="([\w./]+)" type="image/svg\+xml">')
_PRELOAD = re.compile(r'<link rel="preload" [^>]*>\n?')
_SCRIPT = re.compile(r'<script type="module" src="([\w./]+)"></script>\n?')


def page_files(model: Model, inputs: Sequence[Any], command: str = "") -> dict[str, bytes]:
    """The files of an exported page, by name.

    inputs: texts, or series (length, channels), which the page offers as examples; none: those of the model. command:
    the one that made the page, as the page shows it. Raises InputError, which names the input by its number, for one
    that the model cannot read, and for a model that the page cannot compute (`lstm_file.unsupported`).
    """
    file, view = lstm_file(model), View(model)
    if len(inputs) > MAX_INPUTS:
        raise InputError(f"an exported page has at most {MAX_INPUTS} texts or series, not {len(inputs):,}")
    local = local_view(view)
    shown = view.card | {"methods": list(local["methods"])}
    if inputs:
        shown["examples"] = [_example(number, item) for number, item in enumerate(inputs, 1)]
    shown["made"] = {
        "version": __version__,
        "date": str(datetime.now(UTC).date()),
        "fingerprint": view.about["fingerprint"],
        "command": command,
    }
    plain = [_plain(view, number, one) for number, one in enumerate(shown["examples"], 1)]
    layers = range(len(model.architecture.layers))
    units = {n: [unit_json(model, k, n) for k in range(model.architecture.layers[n].size)] for n in layers}
    data = {
        "model.json": _json(shown),
        **{f"units-{n}.json": _json(found) for n, found in units.items()},
        "model.lstm": file,
        "view.json": _json(local),
        "worker.js": script("model/worker.js").encode(),
    }
    found = {"index.html": inline_page("index.html", data, {"api.js": "model/api.js"}, "".join(plain))}
    if not bundled.missing(bundled.TUTORIAL):
        found["lesson.html"] = inline_page("lesson.html", lesson_files())
    return found


def _example(number: int, item: Any) -> dict[str, Any]:
    """A given input as an example of the page, as GET /model has them."""
    if isinstance(item, str):
        return {"group": item[:32], "title": item[:70], "hint": "", "label": None, "text": item, "own": False}
    rows = np.asarray(item, dtype=np.float64).tolist()
    series = [[None if np.isnan(x) else x for x in row] for row in rows]
    group = f"Series {number}"
    return {"group": group, "title": "", "hint": "", "label": None, "text": "", "series": series, "own": False}


def _plain(view: View, number: int, one: dict[str, Any]) -> str:
    """HTML of an example for browsers without JavaScript."""
    kind = "text" if one["text"] else "series"
    try:
        example = view.example({kind: one["text"] or [list(row) for row in one["series"]]})
    except InputError as error:
        alone = str(error).removeprefix("row 0: ").replace("row 0 ", "it ", 1)
        raise InputError(f"{kind} {number}: {alone}") from None
    return f"<h2>{number}</h2>{plain_table(explain_example(example, _METHODS[0]))}"


def local_view(view: View) -> dict[str, Any]:
    """What the page says of a model whose answers it computes itself."""
    model, methods, frequent = view.model, {}, view.frequent
    metadata, default = model.metadata, model.metadata.attribution_method
    inputs = model.preprocessor.format
    asked = {inputs.name: inputs.example}
    names = "note", "faithfulness", "faithfulness_note"
    for method in _METHODS:
        try:
            found = view.explain({**asked, "include": ["attribution"], "method": method})
        except RequestError:  # the model does not allow it
            continue
        methods[method] = {name: found["attribution"][name] for name in names}
    return {
        "model": view.about,
        "methods": methods,
        "unmeasured": UNMEASURED,
        "default_method": default if default in methods else _METHODS[0],
        "attribution_method": default,
        "members": model.ensemble.weights_json(),
        "lstm_note": model.ensemble.lstm_note(),
        "unknown": model.preprocessor.unknown,
        "median_length": metadata.median_length,
        "frequent": None if frequent is None else [frequent.start, frequent.stop],
        "foreign": sorted(FOREIGN),
        "calibrated": metadata.calibrated,
    }


def _json(found: object) -> bytes:
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()


def inline_page(
    name: str, data: Mapping[str, bytes], swapped: Mapping[str, str] | None = None, without_script: str = ""
) -> bytes:
    """The page `name`, as "lesson.html", as one HTML file that loads nothing, so that any host serves it and a browser
    opens it as a file. Its content security policy allows its one script and its one style by their hashes.

    data: the files that its modules read, by name; the script runs as soon as the first one is there. swapped: module
    to the module in its place. without_script: HTML for browsers without JavaScript, in place of what the page says
    there.
    """
    page = read_page_file(name)
    entry = _SCRIPT.findall(page)
    if len(entry) != 1:
        raise ValueError(f"{name} must have one script, a module")
    style = "".join(map(read_page_file, _STYLE.findall(page)))
    code = script(entry[0], "", tuple(sorted((swapped or {}).items())))
    policy = (
        f"default-src 'none'; script-src '{csp_hash(code)}'; style-src '{csp_hash(style)}'; img-src data: blob:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>\n'
    page = _PRELOAD.sub("", _SCRIPT.sub("", _STYLE.sub("", page))).replace("</head>", f"{meta}</head>", 1)
    for name in _ICON.findall(page):
        icon = base64.b64encode(read_page_file(name).encode()).decode()
        page = page.replace(f'href="{name}"', f'href="data:image/svg+xml;base64,{icon}"')
    if without_script:
        start, end = page.index("<noscript>") + len("<noscript>"), page.index("</noscript>")
        page = page[:start] + without_script + page[end:]
    packed = {file: base64.b64encode(gzip.compress(raw, mtime=0)).decode() for file, raw in data.items()}
    blocks = [f'<script type="text/plain" data-file="{file}">{text}</script>\n' for file, text in packed.items()]
    blocks.insert(1, f"<script>{code}</script>\n")
    return page.replace("</body>", f"{''.join(blocks)}</body>", 1).encode()
