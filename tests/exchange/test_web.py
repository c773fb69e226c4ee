"""Folders for web pages: the vocabulary as @huggingface/tokenizers reads it, and the module that predicts."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data.schema import RowSchema
from gatewise.exchange.web import web_files
from gatewise.model.compress import stored
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.architecture import Layer
from gatewise.target import target_of
from gatewise.text import KerasEncoding, SpaceEncoding, SubwordEncoding, TokenEncoding
from tests.exchange.random_models import random_inputs, random_model
from tests.javascript import in_node, page_over
from tests.refusals import assert_refused

pytest.importorskip("onnxruntime")

TEXTS = [
    "A WARM film; warm, and FUNNY!! don't (dull)...",
    "<br />ÉTÉ été İstanbul ΑΒΓ 3.14 a_b",
    "tab\tnew\nline <start> [PAD] <unk> ``quoted'' 'single' 映画 ไทย 👍🏽",
    "word3 word7 word3, unseen",
]
# With the packages of npm, `npm install onnxruntime-web @huggingface/tokenizers`; without, only what needs none runs.
MODULES = os.environ.get("GATEWISE_NODE_MODULES")
with_npm = pytest.mark.skipif(
    MODULES is None, reason="GATEWISE_NODE_MODULES names no node_modules with onnxruntime-web"
)
STUBS = """
    const ort = {
        Tensor: function (type, data, dims) { Object.assign(this, { type, data: Array.from(data, String), dims }); },
        InferenceSession: { create: async () => ({ run: async (feeds) => {
            seen.push(feeds);
            const { output, numbers } = given;
            return { [output]: { data: Float32Array.from(numbers.flat()), dims: [2, numbers[0].length] } };
        } }) },
    };
    class Tokenizer { encode(text) { return { ids: text.trim().split(" ").filter(Boolean).map(Number) }; } }
"""
RUN = """
    const answers = [];
    for (const inputs of given.inputs) answers.push(await model.predict(inputs).catch((error) => error.message));
"""
PACKAGES = 'import * as ort from "onnxruntime-web"; import { Tokenizer } from "@huggingface/tokenizers";'


def answers_in_node(folder: Path, given: Any, start: str = STUBS) -> Any:
    """What the module of the folder answers, and what the session of a stub was given."""
    (folder / "given.json").write_text(json.dumps(given))
    code = (
        'import { readFileSync } from "node:fs"; import { loadModel } from "./model.js";'
        f'const given = JSON.parse(readFileSync("given.json")); const seen = []; {start}'
        f"const model = await loadModel({{ ort, Tokenizer }}); {RUN}"
        "console.log(JSON.stringify({ answers, seen }));"
    )
    return json.loads(in_node(folder, code))


def write_web(folder: Path, model: Model, preprocessor: Any = None) -> None:
    for name, raw in {**web_files(model.target, preprocessor or model.preprocessor), "model.onnx": b""}.items():
        (folder / name).write_bytes(raw)


@pytest.mark.parametrize("kind", [TokenEncoding, SubwordEncoding, KerasEncoding])
def test_the_vocabulary_gives_the_ids_of_the_model(kind: Any) -> None:
    from tokenizers import Tokenizer

    encoding = kind.fit(TEXTS * 2, 30) if kind is KerasEncoding else kind.fit(TEXTS * 2)
    files = web_files(random_model().target, TextPreprocessor(encoding))
    found = Tokenizer.from_str(files["tokenizer.json"].decode()).encode_batch([*TEXTS, "never SEEN"])
    wanted = encoding.encode_batch([*TEXTS, "never SEEN"])
    assert [one.ids for one in found] == [one.tolist() for one in wanted]
    unknown = json.loads(files["tokenizer_config.json"])["unk_token"]
    assert json.loads(files["tokenizer.json"])["model"]["vocab"][unknown] == encoding.unknown
    if kind is TokenEncoding:
        respelling = web_files(random_model().target, TextPreprocessor(encoding.respelling()))
        assert json.loads(respelling["model.json"])["respelling"]
        assert set(respelling) - set(files) == {"encodings.js"}


def test_what_the_module_cannot_read_is_refused() -> None:
    model, words = random_model(), SpaceEncoding.fit(TEXTS)
    for target, preprocessor, message in (
        (model.target, TextPreprocessor(words), "encoding 'spaces' cannot be exported to the web"),
        (model.target, replace(model.preprocessor, steps=StepRule(20)), "cut or padded to a number of steps"),
        (model.target, replace(model.preprocessor, columns=RowSchema.named(["stars"])), "reads further columns"),
        (target_of(model.classes, "tagging"), model.preprocessor, "a prediction for every step"),
    ):
        assert_refused(message, web_files, target, preprocessor)


CASES: list[tuple[dict[str, Any], list[list[float]], list[Any]]] = [
    ({}, [[0.25, 0.75], [0.75, 0.25]], ["class 1", "class 0"]),
    ({"thresholds": (0.25,)}, [[0.75, 0.25], [0.875, 0.125]], ["class 1", "class 0"]),
    ({"classes": 3, "thresholds": (0.5, 0.25, 1.0)}, [[0.5, 0.375, 0.125], [0.25, 0, 0.75]], ["class 1", "class 2"]),
    ({"task": "multilabel", "classes": 3}, [[0.5, 0.375, 0.75], [0, 0, 0]], [["class 0", "class 2"], []]),
    ({"task": "regression", "classes": 2}, [[0.5, -2], [3, 0]], [[0.5, -2], [3, 0]]),
]


@pytest.mark.parametrize(("options", "numbers", "labels"), CASES)
def test_the_module_answers_as_the_model(
    options: dict[str, Any], numbers: list[list[float]], labels: list[Any], tmp_path: Path
) -> None:
    model = random_model(**options)
    write_web(tmp_path, model)
    output = "values" if model.task == "regression" else "probabilities"
    given = {"output": output, "numbers": numbers, "inputs": [["3 5 8", " 4"], ["3", " "], [], ["3", 4], "3"]}
    found = answers_in_node(tmp_path, given)
    [feeds] = found["seen"]
    assert feeds["tokens"] == {"type": "int64", "data": ["3", "5", "8", "4", "0", "0"], "dims": [2, 3]}
    assert feeds["lengths"] == {"type": "int64", "data": ["3", "1"], "dims": [2]}
    assert [next(iter(one.values())) for one in found["answers"][0]] == labels
    assert found["answers"][1:] == [
        "text 2 has no word",
        [],
        "text 2 is not a string",
        "predict needs a list of texts",
    ]
    if model.task != "regression":
        assert [list(one["probabilities"].values()) for one in found["answers"][0]] == numbers


def test_series_reach_the_session_with_their_missing_values(tmp_path: Path) -> None:
    model = random_model(inputs="channels")
    write_web(tmp_path, model)
    wrong = [[[]], [3], [["12"]], [[[1, "a"]]], [[[1, True]]], [[[1, 1e39]]]]
    inputs = [[[[1, 2], [None, 4]], [[5, 6]]], [[[1, 2]], [[1]]], *wrong]
    found = answers_in_node(tmp_path, {"output": "probabilities", "numbers": [[0.5, 0.5]] * 2, "inputs": inputs})
    [feeds] = found["seen"]
    assert feeds["series"] == {
        "type": "float32",
        "data": ["1", "2", "NaN", "4", "5", "6", "0", "0"],
        "dims": [2, 2, 2],
    }
    assert found["answers"][1] == "series 2 must have at least one step, each of 2 numbers"
    assert found["answers"][2:] == ["series 1 must have at least one step, each of 2 numbers"] * len(wrong)


def test_a_missing_value_is_refused_where_the_model_refuses_it(tmp_path: Path) -> None:
    """An imported network does not interpolate, and its predictions would be NaN."""
    model = random_model(inputs="channels")
    write_web(tmp_path, model, replace(model.preprocessor, missing="refuse"))
    inputs = [[[[1, 2]], [[3, 4], [5, None]]], [[[1, 2]], [[3, 4]]]]
    found = answers_in_node(tmp_path, {"output": "probabilities", "numbers": [[0.5, 0.5]] * 2, "inputs": inputs})
    assert found["answers"][0] == "series 2 has a missing value"
    assert len(found["answers"][1]) == 2


def test_the_module_respells_as_the_model(tmp_path: Path) -> None:
    encoding = TokenEncoding.of_words(["", "", "good", "film"]).respelling()
    write_web(tmp_path, random_model(), TextPreprocessor(encoding))
    texts = ["good flim xyz", "goood " * 1_010]
    words = "class Tokenizer { encode(text) { const tokens = text.trim().split(' '); return { tokens, ids: tokens.map("
    words += "(word) => ({ good: 2, film: 3 })[word] ?? 1) }; } }"
    start = STUBS[: STUBS.index("class Tokenizer")] + words
    given = {"output": "probabilities", "numbers": [[0.5, 0.5]], "inputs": [[text] for text in texts]}
    found = [list(map(int, one["tokens"]["data"])) for one in answers_in_node(tmp_path, given, start)["seen"]]
    assert found == [one.tolist() for one in encoding.encode_batch(texts)]


def models() -> Iterator[tuple[Model, list[Any]]]:
    """Models with inputs, for ONNX Runtime's own web runtime."""
    yield load("tutorial"), TEXTS
    for options in ({"linear": "ngrams", "classes": 3}, {"inputs": "channels", "layers": (Layer(5, "both"),)}):
        model = random_model(**options)
        yield model, random_inputs(model)


@with_npm
@pytest.mark.parametrize("way", ["node", "chromium"])
def test_onnxruntime_web_computes_the_same(way: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(Path(MODULES).resolve())
    for number, (model, inputs) in enumerate(models()):
        folder = tmp_path / str(number)
        model.export(folder, "web", quantize="int8")
        plain = [one if isinstance(one, str) else np.where(np.isnan(one), None, one).tolist() for one in inputs]
        if way == "node":
            [found] = answers_in_node(folder, {"inputs": [plain]}, PACKAGES)["answers"]
        else:
            found = answers_in_chromium(tmp_path, str(number), plain)
        wanted = stored(model, "int8").predict_proba(inputs)
        np.testing.assert_allclose([list(one["probabilities"].values()) for one in found], wanted, atol=1e-5)


def answers_in_chromium(root: Path, name: str, inputs: list[Any]) -> Any:
    """What the module of a folder answers in a page whose import map names the packages."""
    imports = {
        "onnxruntime-web": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
        "@huggingface/tokenizers": "/node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs",
    }
    with page_over(root, f'<script type="importmap">{json.dumps({"imports": imports})}</script>') as page:
        return page.evaluate(
            """async ([name, inputs]) => {
                const ort = await import("onnxruntime-web");
                const { Tokenizer } = await import("@huggingface/tokenizers");
                const { loadModel } = await import(`/${name}/model.js`);
                return (await loadModel({ ort, Tokenizer })).predict(inputs);
            }""",
            [name, inputs],
        )
