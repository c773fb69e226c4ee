"""The model in JavaScript has the ids, states, predictions and attributions of gatewise, in Node."""

import base64
import json
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Member
from gatewise.model import bundled
from gatewise.model.compress import compress
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.architecture import Architecture
from gatewise.serve.lstm_file import lstm_file, unsupported
from gatewise.serve.page_folder import local_view
from gatewise.serve.view.view import View
from gatewise.text import IndexEncoding, KerasEncoding, SpaceEncoding, SubwordEncoding, TokenEncoding
from tests.exchange.random_models import TOKENS, random_inputs, random_model
from tests.explain.random_net import ARCHITECTURES, parameters_of
from tests.javascript import in_node
from tests.members.ngram_keys import random_spelled
from tests.members.test_convolutions import some as convolutions
from tests.serve.page.conftest import HOSTILE, known_model, labels_model, number_model, tagger
from tests.small_models import bundled_model, small_model

PAGE = Path(__file__).resolve().parents[3] / "src" / "gatewise" / "serve" / "page"
METHODS = ("prefix-difference", "cell-decomposition", "leave-one-out")
PARTS = ["prediction", "prefix:all", "attribution", "units", "unit:top", "heatmap:f", "heatmap:c", "offer"]
CHANGES: list[list[dict[str, Any]]] = [
    [],
    [{"gate": "f", "unit": 2, "value": 0}],
    [{"gate": "f", "unit": "all", "value": 1, "from": 0, "to": 1}, {"gate": "g", "unit": 1, "value": -0.5}],
    [{"gate": "o", "unit": "all", "value": 1, "from": 0, "to": 0}, {"gate": "i", "unit": 0, "layer": 0, "value": 0}],
    [{"gate": "h", "unit": 2, "value": 0}],
]

# file: a model as base64.
EXPLAIN = """({ file, view, requests }) => {
    const explain = createExplain(parseModel(Uint8Array.from(atob(file), (ch) => ch.charCodeAt(0)).buffer), view);
    return requests.map((request) => {
        try {
            return explain(request);
        } catch (error) {
            return { error: error.message };
        }
    });
}"""


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
    odd = ["a", "!!!", "ÉTÉ été İstanbul ΑΒΓ", "👩‍👩‍👧‍👦 good 🎬", "tab\tnew\r\nline\u00a0space", "don't 'quote'"]
    odd += ["[PAD] <start> <unk>"]
    return [*found, *odd, "1 2 3 10/10", long, f"{long} good"]


def tutorial() -> Model:
    if reason := bundled.missing(bundled.TUTORIAL):
        pytest.skip(reason)
    return bundled_model("tutorial")


def of_architecture(arch: Architecture, seed: int = 5) -> Model:
    """A network with random parameters that reads words, or series of that many channels."""
    if arch.inputs == "tokens":
        words = KerasEncoding.fit(texts(), 40)
        own: Any = TextPreprocessor(
            KerasEncoding({w: n for w, n in words.index.items() if n <= arch.vocab_size - 4}, 40)
        )
    else:
        own = SeriesPreprocessor((0.5, -1.0, 2.0), (2.0, 0.5, 1.0), steps=(3, 20))
    classes = ("negative", "positive") if arch.outputs == 1 else tuple("abcd")[: arch.outputs]
    return Model.of_network(arch, parameters_of(arch, seed), own, classes)


def of_encoding(encoding: Any, **shape: Any) -> Model:
    return small_model(encoding, tuple("abc")[: shape.get("outputs", 1) + 1], 4, embedding_dim=7, **shape)


def of_index(steps: StepRule, **fields: Any) -> Model:
    """An imported network: its word index has ids in any order, and some that its embedding does not have."""
    words = dict.fromkeys(word for text in texts()[:30] for word in re.findall(r"[\w']+", text.lower()))
    index = {word: 3 + 7 * n % 60 for n, word in enumerate(words)}
    encoding = IndexEncoding(50, index, **{"lower": "ascii", "stripped": "!.,;<>/", **fields})
    return with_steps(of_encoding(encoding), steps)


def with_steps(model: Model, steps: StepRule) -> Model:
    return replace(model, preprocessor=TextPreprocessor(model.preprocessor.encoding, steps))  # type: ignore[union-attr]


def with_member(model: Model, member: Member, weight: float = 0.4) -> Model:
    """The model with another member, a shift, and a smaller weight of its LSTM."""
    shift = np.linspace(0.1, 0.3, model.target.outputs)
    return replace(model, ensemble=Ensemble((model.ensemble.lstm, member), (0.7, weight), shift, model.target))


def with_characters(scaled: bool, **shape: Any) -> Model:
    """N-grams of the characters of pieces of words."""
    encoding = SubwordEncoding.fit(texts(), 80)
    model = of_encoding(encoding, **shape)
    rng, outputs = np.random.default_rng(9), model.target.outputs
    return with_member(model, random_spelled(rng, encoding.pieces(), outputs, scaled, encoding.encode_batch(texts())))


def with_convolutions(window: int) -> Model:
    """Series in windows of steps, whose missing values are a channel of their own."""
    rng = np.random.default_rng(2)
    series = [rng.standard_normal((n, 1)).cumsum(axis=0) for n in (20, 60, 47)]
    series[0][3:5] = np.nan
    own = SeriesPreprocessor.fit(series, -(-60 // window))
    model = small_model(own, tuple("abc"), 6, units=5, pooling="mean")
    return with_member(model, replace(convolutions(), window=window))


MODELS: dict[str, Callable[[], Model]] = {
    "tutorial": tutorial,
    "int8": lambda: compress(of_architecture(ARCHITECTURES["binary"]), "int8"),
    "float16": lambda: compress(of_architecture(ARCHITECTURES["pads"]), "float16"),
    "words and marks": known_model,
    "pieces of words": lambda: of_encoding(SubwordEncoding.fit(texts(), 80), pooling="max"),
    "word index, pads at the end": lambda: of_index(StepRule(12, "post"), unknown=1),
    "word index, some steps": lambda: of_index(StepRule(9, masked=True), start=2, lower="all", filters="!,.;"),
    "Keras's words, pads in front": lambda: with_steps(of_architecture(ARCHITECTURES["mean"]), StepRule(15)),
    "n-grams": lambda: random_model(linear="ngrams", max_length=7, truncation="middle"),
    "n-grams with a norm, three classes": lambda: random_model(
        linear="scaled ngrams", classes=3, bidirectional=True, pooling="mean+max"
    ),
    "characters": lambda: with_characters(False, max_length=9),
    "characters with a norm, three classes": lambda: with_characters(True, outputs=3, pooling="mean"),
    "several labels": labels_model,
    "tagger": tagger,
    "number": number_model,
    "convolutions": lambda: with_convolutions(1),
    "convolutions, windows": lambda: with_convolutions(4),
    **{name: lambda arch=arch: of_architecture(arch) for name, arch in ARCHITECTURES.items()},  # type: ignore[misc]
}


def requests_of(model: Model) -> list[dict[str, Any]]:
    """Every part of an explanation with every change and method, for each layer."""
    inputs: list[Any] = [*texts()[3:130:14], f"{texts()[5]} 👩‍👩‍👧‍👦 zounds zounds"]
    inputs.append("Der Film ist nicht gut und die Geschichte war sehr lang.")
    inputs.append("Ce film est une merveille, je ne suis pas déçu.")
    if model.architecture.inputs == "channels":
        rng, lengths = np.random.default_rng(4), (12, 9, 30, 47, 23, 10)
        inputs = [(3 * rng.standard_normal((length, model.channels))).round(3).tolist() for length in lengths]
        inputs[1][2][0] = inputs[1][0][0] = None
    if getattr(model.preprocessor, "encoding", None) is TOKENS:
        inputs = random_inputs(model)
    name, found = "text" if model.architecture.inputs == "tokens" else "series", list[dict[str, Any]]()
    for n, item in enumerate(inputs):
        steps = len(model.trace(np.array(item, dtype=np.float64) if name == "series" else item))
        asked = {name: item, "include": PARTS, "changes": CHANGES[n % len(CHANGES)] if steps > 1 else []}
        asked["layer"] = n % len(model.architecture.layers)
        if n % 2 and model.target.task == "classification":
            asked["target"] = model.classes[0]
        found.append(asked | {"method": METHODS[n % 3] if steps < 40 else METHODS[0]})
    return found


def file_of(model: Model) -> str:
    return base64.b64encode(lstm_file(model)).decode()


def called(tmp_path: Path, function: str, given: Any) -> Any:
    """What a function of `given`, which calls the modules of the page, returns in Node."""
    (tmp_path / "given.json").write_text(json.dumps(given))
    folder = (PAGE / "model").as_uri()
    code = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ parseModel }} from "{folder}/lstm.js";
        import {{ createExplain }} from "{folder}/answers.js";
        const plain = (_, value) => (ArrayBuffer.isView(value) ? [...value] : value);
        console.log(JSON.stringify(({function})(JSON.parse(readFileSync("given.json"))), plain));
    """
    return json.loads(in_node(tmp_path, code))


def compare(model: Model, requests: list[dict[str, Any]], tmp_path: Path) -> None:
    """Each answer of the page is that of the server."""
    given = {"file": file_of(model), "view": local_view(View(model)), "requests": requests}
    answers = called(tmp_path, EXPLAIN, given)
    for request, answer in zip(requests, answers, strict=True):
        try:
            wanted = json.loads(json.dumps(View(model).explain(request)))
        except InputError:
            assert set(answer) == {"error"}, (request, answer.get("error"))
            continue
        assert "error" not in answer, (request, answer)
        for one in wanted.get("heatmaps", []):  # its numbers have 16 bits
            scale = (one["high"] - one["low"]) / 65535
            one["values"] = one["low"] + scale * np.frombuffer(base64.b64decode(one["base64"]), "<u2")
            one |= {"signed": one["low"] < 0, "rows": one["shape"][0], "columns": one["shape"][1]}
        answer.pop("id")
        answer.get("attribution", {}).pop("methods", None)
        assert_alike(answer, wanted, f"{str(request)[:80]}")


def assert_alike(found: Any, wanted: Any, where: str) -> None:
    """Equal but for the rounding of numbers, as far as the page reads them."""
    if isinstance(wanted, dict):
        for name, one in found.items():
            assert_alike(one, wanted[name], f"{where}: {name}")
    elif isinstance(wanted, np.ndarray):
        step = np.ptp(wanted) / 65535  # the server rounds to 16 bits of a range up to twice as wide
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 + step, err_msg=where)
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], float):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5, err_msg=where)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for n, one in enumerate(wanted):
            assert_alike(found[n], one, f"{where}[{n}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=1e-5, rel=1e-5), where
    else:
        assert found == wanted, where


@pytest.mark.parametrize("name", MODELS)
def test_the_answers_of_the_page_are_those_of_the_server(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    compare(model, requests_of(model), tmp_path)


def test_two_hundred_texts(tmp_path: Path) -> None:
    requests = [{"text": text, "include": ["prediction", "prefix:all", "units"]} for text in texts()]
    compare(tutorial(), requests, tmp_path)


FITS: dict[str, Any] = {
    "tokens": TokenEncoding.fit,
    "respelling": lambda texts, size: TokenEncoding.fit(texts, size).respelling(),
    "subwords": SubwordEncoding.fit,
    "spaces": SpaceEncoding.fit,
}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_any_text_has_the_ids_and_the_places_of_the_library(fit: Any, tmp_path: Path) -> None:
    """Also one of characters from all scripts, and one of parts that NFC joins."""
    rng = random.Random(3)
    scripts = [*range(32, 0x3400), *range(0x4E00, 0x4E80), *range(0xAC00, 0xAC80), *range(0x1F600, 0x1F650)]
    known = [chr(n) for n in scripts if unicodedata.category(chr(n)) != "Cn"]
    pool = rng.sample(known, 1500) + ["<br />", "’", "'", "ß", "İ", "ไทย", "ミー", "!!", "\x85", "\u200d"] * 30
    mixed = ["".join(rng.choice(pool) + rng.choice(["", "", " "]) for _ in range(40)) for _ in range(200)]
    mixed = [unicodedata.normalize("NFC", text) for text in mixed]
    joined = ["cafe\u0301 o\u0308l, e\u0301!", "\u1112\u1161\u11ab\u1100\u1173\u11af a"]
    misspelt = "A goood flim, the the mooovie was was realy borring!!!!! xqzzyw ab abc moviee"
    misspelt += " goood\u2019s go\u0308o\u0308o\u0308d goo\x00ood moviee\u0301" + " goood" * 1_200
    known = [*texts(), *HOSTILE[:5], *mixed, *joined, "good good's g\u00f6d"]
    every = [text for text in [*known, misspelt] if text.strip()]
    encoding = fit([*every[:-1], *every[:-1]], 400)
    model = of_encoding(encoding)
    found = called(tmp_path, ENCODE, {"file": file_of(model), "texts": every})
    for text, (ids, spans) in zip(every, found, strict=True):
        wanted = encoding.tokenize(text)
        wide = np.cumsum([0, *(1 + (ord(ch) > 0xFFFF) for ch in text)])  # UTF-16 units, as in JavaScript
        assert ids == wanted.sequence.tolist(), repr(text)
        if encoding.kind != "subwords" or unicodedata.is_normalized(
            "NFC", text
        ):  # else pieces share the place of a letter
            assert spans == [[int(wide[a]), int(wide[b])] for a, b in wanted.spans], repr(text)


ENCODE = """({ file, texts }) => {
    const model = parseModel(Uint8Array.from(atob(file), (ch) => ch.charCodeAt(0)).buffer);
    return texts.map((text) => {
        const { steps, ids } = model.encode(text);
        return [[...ids], steps.map(({ start, end }) => [start, end])];
    });
}"""


def test_the_tutorials_model_is_small_and_its_words_have_their_ids_of_keras() -> None:
    """Words of which our own count has a tie."""
    assert len(lstm_file(tutorial())) <= 500_000
    ids = {"documentary": 664, "crew": 1051, "russian": 1766, "contrary": 3804, "submarine": 7982}
    index = tutorial().preprocessor.encoding.index  # type: ignore[union-attr]
    assert {word: index[word] + 3 for word in ids} == ids


def test_a_model_that_the_page_cannot_compute_is_refused_with_the_reason() -> None:
    own = replace(number_model().preprocessor, mask_value=0.0)
    model = replace(number_model(), preprocessor=own)
    assert unsupported(model) == "steps of its series are masked by a value"
    with pytest.raises(InputError, match="cannot compute this model: steps of its series are masked by a value; "):
        lstm_file(model)
