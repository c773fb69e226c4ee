"""`Model`: saved and loaded bit for bit, independent of the batch, and strict about invalid input."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import kernels
from gatewise.data.labelled import Labelled
from gatewise.errors import GatewiseError, InputError, ModelFileError
from gatewise.explain import METHODS, Clamp
from gatewise.model.card import EvalResult, ModelMetadata
from gatewise.model.model import Model
from gatewise.model.preprocessor import SeriesPreprocessor, StandardScaler, TextPreprocessor
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.storage import load_folder, save_folder
from gatewise.text import KerasEncoding, TokenEncoding, keras_index

TEXTS = ["the film was bad", "a good film, seen twice", "the end", "it was good, was it", "bad bad end"]


def _parameters(arch: Architecture, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    start = initial_parameters(arch, rng)
    return {k: (v + rng.normal(0, 0.3, v.shape)).astype(np.float32) for k, v in start.items()}


def _models() -> dict[str, Model]:
    keras = KerasEncoding(keras_index(TEXTS), 8)
    tokens = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    scaling = StandardScaler.fit([np.array([[1, 2, 3], [4, 5, 7]], dtype=np.float32)])
    pre = Architecture("tokens", keras.vocab_size, 5, 9, max_length=30, padding="pre")
    both = Architecture("tokens", tokens.vocab_size, 5, 9, bidirectional=True, pooling="mean+max", outputs=3)
    series = Architecture("channels", 3, 0, 6, outputs=3)
    return {
        "keras": Model.of_network(pre, _parameters(pre, 1), TextPreprocessor(keras), ("no", "yes")),
        "tokens": Model.of_network(
            both, _parameters(both, 2), TextPreprocessor(tokens), ("x", "y", "z"), ModelMetadata(recipe="fast", seed=4)
        ),
        "series": Model.of_network(series, _parameters(series, 3), SeriesPreprocessor(scaling), ("<a>", "b|c", "d")),
    }


MODELS = _models()
INPUTS: dict[str, list[Any]] = {
    "keras": TEXTS,
    "tokens": TEXTS,
    "series": [np.random.default_rng(n).standard_normal((n + 1, 3)).astype(np.float32) for n in range(6)],
}


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_opened_again(tmp_path: Path, name: str) -> None:
    model = MODELS[name]
    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert (again.architecture, again.classes, again.metadata) == (model.architecture, model.classes, model.metadata)
    np.testing.assert_array_equal(again.logits(INPUTS[name]), model.logits(INPUTS[name]))
    expected = [model.classes[k] for k in model.predict_proba(INPUTS[name]).argmax(axis=1)]
    assert again.predict(INPUTS[name]).tolist() == expected
    assert again.card() == (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_the_same_in_any_company_and_order(name: str) -> None:
    model, inputs = MODELS[name], INPUTS[name]
    together = model.logits(inputs)
    alone = np.concatenate([model.logits([item]) for item in inputs])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(model.logits([inputs[k] for k in order]), together[order], atol=1e-5)
    assert len(set(np.round(together[:, 0], 4))) > 1, "answers must differ for this test to mean anything"


def test_one_text_is_one_text() -> None:
    model = MODELS["tokens"]
    assert model.predict("the end").tolist() == model.predict(["the end"]).tolist()
    assert model.predict([]).tolist() == []


def test_evaluate_counts_and_maps_the_classes() -> None:
    model = MODELS["tokens"]
    predicted = model.predict(TEXTS)
    wrong = ["x" if predicted[0] != "x" else "y", *predicted[1:]]
    found = model.evaluate(Labelled.of(TEXTS, wrong, "five texts"))
    assert (found.n, found.accuracy, found.data) == (5, 0.8, "five texts")
    assert sum(map(sum, found.confusion)) == 5
    assert sum(found.confusion[k][k] for k in range(3)) == 4
    p = model.predict_proba(TEXTS)
    wanted = -np.mean(np.log([p[n, "xyz".index(c)] for n, c in enumerate(wrong)]))
    assert found.loss == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(InputError, match="has no class 'w'"):
        model.evaluate(Labelled.of(TEXTS, ["w", *predicted[1:]]))


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("keras", ["fine", "  \n"], "text 2 is empty"),
        ("keras", ["a\ud800b"], "text 1"),
        ("tokens", ["\u200b\x00"], "text 1"),
        ("tokens", [b"bytes"], "text 1 is a bytes, not a string"),
        ("series", [np.ones((2, 2))], "row 0 has 2 channels, but the model reads 3"),
        ("series", [np.ones((2, 3)), [[1, 2, np.inf]]], "row 1, step 0, channel 2: inf is not finite"),
    ],
)
def test_bad_input_is_named(name: str, bad: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MODELS[name].predict(bad)


def test_any_byte_flipped_is_found(tmp_path: Path) -> None:
    MODELS["tokens"].save(tmp_path / "m")
    rng = np.random.default_rng(8)
    for file in sorted((tmp_path / "m").iterdir()):
        whole = file.read_bytes()
        for place in rng.integers(0, len(whole), 12):
            broken = bytearray(whole)
            broken[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(broken)
            with pytest.raises(GatewiseError):
                gw.load(tmp_path / "m")
        file.write_bytes(whole)
    gw.load(tmp_path / "m")


def test_the_card_says_what_is_known_and_cannot_be_broken_by_names() -> None:
    metadata = ModelMetadata(
        recipe="fast", data="a [link](x) | <b>", evaluations=(EvalResult("some test", 400, 0.9, 0.3),)
    )
    card = dataclasses.replace(MODELS["series"], metadata=metadata).card()
    assert "&lt;a&gt;, b&#124;c, d" in card
    assert "a &#91;link&#93;(x) &#124; &lt;b&gt;" in card
    assert "| some test | 400 | 0.9000 (95% interval 0.8667 to 0.9257) | 0.3000 |" in card
    assert "| epoch |" not in card
    renewed = metadata.with_evaluation(EvalResult("some test", 500, 0.8, 0.4))
    assert [m.n for m in renewed.evaluations] == [500]


def test_deletion_scores_and_units_are_kept_with_the_model(tmp_path: Path) -> None:
    model = MODELS["tokens"]
    data = Labelled.of(TEXTS, ["x", "y", "x", "z", "y"])
    known = model.with_faithfulness(model.preprocessor.encode_batch(TEXTS)).with_units(data)
    assert set(known.metadata.faithfulness) == set(METHODS)
    assert known.metadata.attribution_method in METHODS
    assert known.explain(TEXTS[0]).method == known.metadata.attribution_method
    assert known.explain(TEXTS[0]).faithfulness == known.metadata.faithfulness[known.metadata.attribution_method]
    known.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert again.metadata == known.metadata
    assert again.units == known.units
    assert again.units is not None
    assert again.units.fingerprint == data.fingerprint()
    assert len(again.units.units) == 18
    assert f"| {known.metadata.attribution_method} (the default) | 5 |" in (tmp_path / "m" / "README.md").read_text()
    assert again.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


def test_an_example_of_another_model_is_refused() -> None:
    model = MODELS["tokens"]
    example = model.trace(TEXTS[0])
    same = dataclasses.replace(model, metadata=ModelMetadata())
    assert same.explain(example).scores.tolist() == model.explain(TEXTS[0]).scores.tolist()
    for call in (MODELS["keras"].trace, MODELS["keras"].explain, MODELS["keras"].intervene):
        with pytest.raises(InputError, match="computed by another model"):
            call(example)
    other = model.with_thresholds((0.9,) * len(model.classes))
    with pytest.raises(InputError, match="computed by another model"):
        other.explain(example)


def test_explanations_use_float32() -> None:
    if reason := kernels.unavailable_reason("bf16"):
        pytest.skip(reason)
    model = MODELS["tokens"]
    fast = model.with_lstm(precision="bf16")
    np.testing.assert_array_equal(fast.explain(TEXTS[0]).scores, model.explain(TEXTS[0]).scores)


def test_a_units_file_that_is_none_is_refused_when_it_is_read(tmp_path: Path) -> None:
    MODELS["keras"].save(tmp_path / "m")
    files = dict(load_folder(tmp_path / "m").files)
    save_folder(tmp_path / "m", {**files, "units.json": b'{"data": 1}'})
    model = gw.load(tmp_path / "m")
    assert model.predict(TEXTS[0])
    with pytest.raises(ModelFileError, match=r"units\.json"):
        _ = model.units


def test_words_are_replaced_and_predicted_as_the_new_text() -> None:
    for name in ("keras", "tokens"):
        model = MODELS[name]
        found = model.intervene("the film was bad", words={"bad": "good", 1 if name == "keras" else 0: "a good"})
        want = "a good film was good"
        np.testing.assert_allclose(found.after.logits, model.logits([want])[0], atol=1e-6)
        assert found.after.steps == model.preprocessor.token_names(want)
        assert found.before.steps == model.preprocessor.token_names("the film was bad")
        shorter = model.intervene("the film was bad", words={"was": ""})
        assert shorter.after.steps == model.preprocessor.token_names("the film bad")
    with pytest.raises(InputError, match="step 1 is not a word: the words are steps 2 to 5"):
        MODELS["keras"].intervene("the film was bad", words={0: "x"})
    with pytest.raises(InputError, match="a series has no words"):
        MODELS["series"].intervene(INPUTS["series"][3], words={0: "x"})
    held = MODELS["series"].intervene(INPUTS["series"][3], [Clamp("f", 0.0)])
    assert (held.after.lstms[0].f == 0).all()
