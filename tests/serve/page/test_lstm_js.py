"""The LSTM in JavaScript has the ids, states, predictions and attributions of gatewise, in Node and in Chromium."""

from __future__ import annotations

import base64
import gzip
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.explain.example import Example
from gatewise.explain.explanation import explain_example
from gatewise.members.clamp import Clamp, ablate
from gatewise.model import bundled
from gatewise.model.compress import compress
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import StepRule, TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.serve.lstm_file import lstm_file, unsupported
from gatewise.serve.page_folder import page_files
from gatewise.serve.view.view import View
from gatewise.text import KerasEncoding
from tests.explain.random_net import parameters_of
from tests.serve.page.conftest import Visit, series_model, text_model

PAGE = Path(__file__).resolve().parents[3] / "src" / "gatewise" / "serve" / "page"
METHODS = ("prefix-difference", "cell-decomposition", "leave-one-out")
STATES = "ifgoch"

# A function of the module, a model as base64, and cases {text, changes, methods}; it runs in Node and in the browser.
ANSWERS = """({ parseModel }, file, cases) => {
    const model = parseModel(Uint8Array.from(atob(file), (ch) => ch.charCodeAt(0)).buffer);
    return cases.map(({ text, changes, methods }) => {
        const { words, ids } = model.encode(text);
        const run = model.run(ids, { changes });
        const found = { ids: [...ids], spans: words.map(({ start, end }) => [start, end]) };
        found.logits = [...run.prefixLogits];
        found.probabilities = [...run.probabilities];
        for (const name of "ifgoch") found[name] = [...run[name].subarray(-2 * run.units)];
        found.c0 = [...run.start.c];
        found.contributions = Array.from({ length: run.units }, (_, k) => run.contribution(k, run.T - 1));
        for (const method of methods) {
            const scores = model.attribution(run, method);
            found[method] = [...scores, scores.baseValue];
        }
        return found;
    });
}"""
CHANGES: list[list[dict[str, Any]]] = [
    [],
    [{"gate": "f", "unit": 2, "value": 0.25}],
    [{"gate": "f", "unit": "all", "value": 1, "from": 0, "to": 1}, {"gate": "g", "unit": 1, "value": -0.5}],
    [{"gate": "o", "unit": "all", "value": 0.5, "from": 0, "to": 0}],
    [{"gate": "h", "unit": 3, "value": 0}],
]


def texts() -> list[str]:
    """200 texts from templates, and some that are written to be misread."""
    rng = random.Random(5)
    subjects = ["The film", "This MOVIE", "The acting", "It's plot", "A scene of it", "Nobody's performance"]
    verbs = ["was", "is not", "never seems", "could have been", "wasn't", "is"]
    ends = ["good", "bad", "dull", "wonderful", "a waste of time", "zounds", "the best I have seen", "boring"]
    joins = [", but ", "; ", " -- ", "<br /><br />", " and ", "! ", "\n"]
    found = []
    for n in range(190):
        parts = [f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(ends)}" for _ in range(1 + n % 12)]
        found.append(rng.choice(joins).join(parts) + rng.choice(["", ".", "!?"]))
    long = " ".join(rng.choice(subjects + ends) for _ in range(700))
    odd = [
        "a",
        "!!!",
        "ÉTÉ été İstanbul ΑΒΓ",
        "👩‍👩‍👧‍👦 good 🎬",
        "tab\tnew\r\nline\u00a0space",
        "don't 'quote'",
        "[PAD] <start> <unk>",
    ]
    return [*found, *odd, "1 2 3 10/10", long, f"{long} good"]


def tiny(pooling: str, **shape: Any) -> Model:
    encoding = KerasEncoding.fit(texts(), 40)
    arch = Architecture.stacked("tokens", encoding.vocab_size, 9, 6, pooling=pooling, **shape)
    classes = ("negative", "positive") if arch.outputs == 1 else tuple("abcd")[: arch.outputs]
    return Model.of_network(arch, parameters_of(arch, 5), TextPreprocessor(encoding), classes)


def tutorial() -> Model:
    if reason := bundled.missing(bundled.TUTORIAL):
        pytest.skip(reason)
    return load("tutorial")


MODELS = {
    "tutorial": tutorial,
    "mean and max": lambda: tiny("mean+max", max_length=30, truncation="middle"),
    "max, four classes": lambda: tiny("max", outputs=4),
    "pads, float16": lambda: compress(tiny("last", max_length=50, padding="pre"), "float16"),
    "binary, mean": lambda: compress(tiny("mean", gate="binary"), "int8"),
}


def clamps(changes: list[dict[str, Any]]) -> tuple[Clamp, ...]:
    found: list[Clamp] = []
    for one in changes:
        unit = None if one["unit"] == "all" else one["unit"]
        steps = range(one["from"], one["to"] + 1) if "from" in one else None
        found += ablate(unit) if one["gate"] == "h" else [Clamp(one["gate"], float(one["value"]), unit, steps)]
    return tuple(found)


def cases(model: Model, name: str) -> list[dict[str, Any]]:
    """All texts without a change for the tutorial's model; a few texts with every change for each model."""
    few = texts()[::23] if name == "tutorial" else texts()[::9]
    found = [{"text": text, "changes": [], "methods": METHODS[:2]} for text in texts() if name == "tutorial"]
    for text in few:
        steps = len(model.trace(text))
        for changes in CHANGES if steps > 1 else []:
            binary = [{**one, "value": round(one["value"])} if one["gate"] != "g" else one for one in changes]
            own = binary if model.architecture.gate == "binary" else changes
            found.append({"text": text, "changes": own, "methods": METHODS if steps < 12 else METHODS[:2]})
    return found


def expected(model: Model, case: dict[str, Any]) -> dict[str, Any]:
    plain = model.trace(case["text"])
    explained = model.explained.with_lstm(clamps=clamps(case["changes"]))
    example = Example(explained, plain.sequence, plain.names, plain.spans, item=case["text"])
    score = example.score if model.architecture.outputs == 1 else None
    wide = np.cumsum([0, *(1 + (ord(ch) > 0xFFFF) for ch in case["text"])])  # UTF-16 units, as in JavaScript
    found: dict[str, Any] = {
        "ids": example.sequence,
        "spans": wide[example.spans[1:]],
        "logits": example.prefix_logits.ravel(),
        "probabilities": example.probabilities,
        "c0": example.lstms[0].c0,
        **{name: example.values(name, -1)[-2:].ravel() for name in STATES},
    }
    if score is not None:
        contributions = example.contributions
        assert contributions is not None
        found["contributions"] = contributions[-1]
        for method in case["methods"]:
            one = explain_example(example, method)
            found[method] = [*one.scores, one.base_value]
    return found


def compare(model: Model, cases: list[dict[str, Any]], answers: list[dict[str, Any]]) -> None:
    for case, answer in zip(cases, answers, strict=True):
        for name, numbers in expected(model, case).items():
            got, want = np.asarray(answer[name], dtype=np.float64), np.asarray(numbers, dtype=np.float64)
            assert got.size == want.size, (name, case)
            where = f"{name} of {case['text'][:80]!r} with {case['changes']}"
            np.testing.assert_allclose(got.ravel(), want.ravel(), rtol=1e-6, atol=1e-5, err_msg=where)


def in_node(tmp_path: Path, function: str, *given: Any) -> Any:
    """What a function of the modules of the page and of `given` returns in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here: apt-get install nodejs")
    (tmp_path / "given.json").write_text(json.dumps(given))
    modules = "".join(
        f"import * as {name} from {json.dumps((PAGE / f'{name}.js').as_uri())};\n" for name in ("lstm", "localview")
    )
    (tmp_path / "run.mjs").write_text(
        f"import {{ readFileSync }} from 'node:fs';\n{modules}"
        f"const given = JSON.parse(readFileSync({json.dumps(str(tmp_path / 'given.json'))}));\n"
        f"console.log(JSON.stringify(({function})({{ ...lstm, ...localview }}, ...given)));\n"
    )
    done = subprocess.run([node, str(tmp_path / "run.mjs")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", MODELS)
def test_in_node(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    given = cases(model, name)
    compare(model, given, in_node(tmp_path, ANSWERS, base64.b64encode(lstm_file(model)).decode(), given))


FOREIGN = [
    "Der Film ist nicht gut und die Geschichte war sehr lang.",
    "Ce film est une merveille, je ne suis pas déçu.",
]
PARTS = ["prediction", "prefix:all", "attribution", "units", "unit:top", "heatmap:f", "heatmap:c"]
EXPLAIN = """({ parseModel, createExplain }, file, view, requests) => {
    const explain = createExplain(parseModel(Uint8Array.from(atob(file), (ch) => ch.charCodeAt(0)).buffer), view);
    return requests.map((request) => {
        try {
            return explain(request);
        } catch (error) {
            return { error: error.message };
        }
    });
}"""


@pytest.mark.parametrize("name", ["tutorial", "max, four classes", "mean and max"])
def test_the_answers_of_the_page_are_those_of_the_server(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    page = page_files(model, [])[0]["index.html"].decode()
    view = json.loads(gzip.decompress(base64.b64decode(page.split('data-file="view.json">')[1].split("<")[0])))
    requests: list[dict[str, Any]] = []
    for n, text in enumerate(
        [*texts()[:120:10], *texts()[-9:-3], f"{texts()[5]} 👩‍👩‍👧‍👦 zounds zounds", texts()[-2], *FOREIGN]
    ):
        changes, method = CHANGES[n % len(CHANGES)], METHODS[n % 2 if len(text) > 400 else n % 3]
        changes = changes if len(model.preprocessor.encode(text).sequence) > 2 else []
        classes = {} if n % 2 else {"target": model.classes[0]}
        requests.append({"text": text, "changes": changes, "include": PARTS, "method": method, **classes})
    answers = in_node(tmp_path, EXPLAIN, base64.b64encode(lstm_file(model)).decode(), view, requests)
    for request, answer in zip(requests, answers, strict=True):
        wanted = json.loads(json.dumps(View(model).explain(request)))
        wanted["attribution"]["methods"] = answer["attribution"]["methods"]
        for maps in zip(wanted["heatmaps"], answer["heatmaps"], strict=True):
            levels = [np.frombuffer(base64.b64decode(one.pop("base64")), "<u2").astype(int) for one in maps]
            assert np.abs(levels[0] - levels[1]).max() <= 1
        for found in (wanted, answer):
            found.pop("cache", None)
            found.pop("id")
        assert_alike(answer, wanted, request["text"][:60])


def assert_alike(found: Any, wanted: Any, where: str) -> None:
    """Equal but for the rounding of numbers."""
    if isinstance(wanted, dict):
        assert wanted.keys() <= found.keys(), where
        for name, one in wanted.items():
            assert_alike(found[name], one, f"{where}: {name}")
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], float):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5, err_msg=where)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for n, one in enumerate(wanted):
            assert_alike(found[n], one, f"{where}[{n}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=2e-5), where
    else:
        assert found == wanted, where


def test_in_chromium(visit: Visit) -> None:
    model = tutorial()
    page = visit().open()
    given = cases(model, "tutorial")
    code = f"async ([file, cases]) => ({ANSWERS})(await import('./lstm.js'), file, cases)"
    answers = page.evaluate(code, [base64.b64encode(lstm_file(model)).decode(), given])
    compare(model, given, answers)


def test_the_file_of_the_tutorials_model_is_small() -> None:
    assert len(lstm_file(tutorial())) <= 500_000


def test_a_model_that_the_page_cannot_compute_is_refused_with_the_reason() -> None:
    plain = tiny("last")
    steps = TextPreprocessor(KerasEncoding.fit(texts(), 40), StepRule(9))
    wide = tiny("last", bidirectional=True)
    for model, reason in (
        (series_model(), "it reads series"),
        (text_model(), "its texts have the encoding 'tokens'"),
        (wide, "its network is not one LSTM layer in one direction"),
        (Model(steps, plain.ensemble), "its texts have the encoding 'keras' with a fixed number of steps"),
    ):
        assert unsupported(model) == reason
        with pytest.raises(InputError, match=reason):
            lstm_file(model)
