"""The page's data: equal to the library's own answers, lazy, JSON, and strict about bad requests."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError
from gatewise.explain import METHODS
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.members.encoded_sequence import steps_of
from gatewise.members.ensemble import Ensemble
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model import with_units
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.ragged import joined
from gatewise.serve.schemas import RequestError
from gatewise.serve.view import view as module
from gatewise.serve.view.view import View, unit_summary_json
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.types import Faithfulness
from tests.explain.random_net import target_score
from tests.small_models import small_model

TEXTS = ["the film was bad", "a good film, seen twice", "it was good 🎬 , was it", "bad bad end", "the end"]
TEXT = "It was a GOOD film 🎬: bad, unheard-of, 🎬🎬 seen twice; the end was good"


def with_ngrams(model: Model, seed: int, weight: float, of_lstm: float = 1.5) -> Model:
    """The model with random n-grams: the 1- and 2-grams of the texts here. of_lstm: the weight of its LSTM."""
    found = keys_of(*joined(steps_of(model.preprocessor.encode_batch([*TEXTS, TEXT])), np.int64), 2)
    keys = np.unique(np.concatenate([key for key, _ in found]))
    random = np.random.default_rng(seed).normal(size=(len(keys), model.architecture.outputs))
    ngrams, alone = Ngrams(2, keys, random.astype(np.float32)), model.ensemble
    ensemble = Ensemble(
        (alone.lstm, ngrams), (of_lstm, weight), np.full(model.architecture.outputs, 0.25), alone.target
    )
    return dataclasses.replace(model, ensemble=ensemble)


def _models() -> dict[str, Model]:
    keras, tokens = KerasEncoding(keras_index(TEXTS), 30), TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    scaling = SeriesPreprocessor.fit([np.random.default_rng(8).normal(2, 3, (9, 3)).astype(np.float32)])
    shape: dict[str, Any] = {"units": 7, "layers": 2, "bidirectional": True, "pooling": "mean+max"}
    cut_in_middle = small_model(tokens, seed=4, units=7, max_length=9, truncation="middle")
    both_ways = small_model(tokens, ("x", "y", "z"), 2, **shape)
    return {
        "n-grams, cut": with_ngrams(cut_in_middle, 11, 0.75),
        "n-grams, both ways": with_ngrams(both_ways, 12, 0.5),
        "LSTM 0": with_ngrams(cut_in_middle, 13, 1.0, of_lstm=0.0),
        "pads": small_model(keras, units=9, max_length=30, padding="pre"),
        "both ways, two layers": both_ways,
        "cut": cut_in_middle,
        "series": small_model(scaling, ("<a>", "b", "d"), 3),
    }


MODELS = _models()
SERIES = np.random.default_rng(5).normal(1, 2, (11, 3)).astype(np.float32)


def ask(name: str, want: list[str], **more: Any) -> dict[str, Any]:
    item = {"series": SERIES.tolist()} if name == "series" else {"text": TEXT}
    found = View(MODELS[name]).explain({**item, "include": want, **more})
    return json.loads(json.dumps(found, allow_nan=False))


def given(name: str) -> Any:
    return SERIES if name == "series" else TEXT


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_equal_the_library(name: str) -> None:
    model, item = MODELS[name], given(name)
    found = ask(name, ["prediction", "prefix", "attribution", "units"], method="prefix-difference")
    trace, attribution = model.trace(item), model.explain(item, "prefix-difference")
    assert found["prediction"]["label"] == model.predict([item])[0]
    np.testing.assert_allclose(found["prediction"]["probabilities"], model.predict_proba([item])[0], atol=1e-6)
    assert found["prediction"]["target"] == attribution.target
    after = target_score(trace.prefix_logits, int(trace.logits.argmax()))
    np.testing.assert_allclose(found["prefix"]["score"], after, atol=1e-5)
    assert found["prefix"]["probability"][-1] == pytest.approx(found["prediction"]["probability"], abs=1e-5)
    np.testing.assert_allclose(found["attribution"]["scores"], attribution.scores, atol=1e-5)
    assert found["attribution"]["faithfulness_note"] == attribution.faithfulness_note()
    assert "cause" in found["attribution"]["note"]
    effect = trace.contributions.sum(axis=0)
    np.testing.assert_allclose(found["units"]["effect"], effect, atol=1e-5)
    assert found["units"]["order"]["effect"][0] == int(np.abs(effect).argmax())
    assert set(found["units"]["order"]["jump"]) == set(range(len(effect)))


def test_a_truncated_text_has_a_warning() -> None:
    words = len(MODELS["cut"].preprocessor.token_names(TEXT))
    want = f"Only 9 of {words} words are read: the first 3 and the last 6."
    assert ask("cut", [])["warnings"][0]["message"] == want
    front = View(MODELS["pads"]).explain({"text": "film " * 40, "include": []})
    assert front["warnings"][0]["message"] == "Only 30 of 41 words are read: the last 30."
    assert ask("pads", [])["warnings"] == []


def test_only_included_parts_are_there() -> None:
    assert set(ask("pads", [])) == {"api", "id", "model", "text", "warnings", "cache"}
    assert set(ask("pads", ["unit:top", "heatmap:c"])) > {"unit", "heatmaps"}
    assert "attribution" not in ask("pads", ["prediction"])


def test_a_cache_changes_no_number() -> None:
    model = MODELS["pads"]
    view = View(model)
    want = ["prediction", "prefix", "units", "unit:2", "heatmap:h"]
    requests: list[dict[str, Any]] = [{"text": text, "include": want} for text in (TEXT, "the film", TEXT)]
    requests += [{**requests[0], "changes": [{"gate": "i", "value": 1.0}]}, requests[0]]
    for n, request in enumerate(requests):
        shared, alone = view.explain(request), View(model).explain(request)
        assert (shared.pop("cache")["reused"], alone.pop("cache")["reused"]) == (n in (2, 4), False)
        assert shared == alone


def test_bidirectional_prefix_predictions_of_a_long_text_have_a_stride() -> None:
    model = MODELS["both ways, two layers"]
    view, request = View(model), {"text": "good film " * 160, "include": ["prefix", "prediction"]}
    found = view.explain(request)["prefix"]
    assert view.explain(request)["prefix"] == found
    assert found["stride"] == 3
    assert len(found["probability"]) == 1 + -(-320 // 3)
    five = View(model).explain({"text": "good film " * 3, "include": ["prefix"]})["prefix"]
    np.testing.assert_allclose(found["score"][2] - five["score"][6], 0, atol=1e-4)


def test_a_wide_network_limits_slow_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integrated gradients first by their points: it is the same method, so its faithfulness stays."""
    plain = MODELS["cut"]
    known = Faithfulness(0.4, 0.1, 9)
    metadata = dataclasses.replace(plain.metadata, faithfulness={"integrated-gradients": known})
    model, seen = dataclasses.replace(plain, metadata=metadata), []
    attribute = IntegratedGradients.attribute
    monkeypatch.setattr(IntegratedGradients, "attribute", lambda *a, **k: seen.append(a[0]) or attribute(*a, **k))
    for products, points in ((4e11, 256), (3 * 40 * 9 * 4 * 7 * 7 + 1, 40)):
        monkeypatch.setattr(module, "MAX_PRODUCTS", products)
        request = {"text": TEXT, "include": ["attribution"], "method": "integrated-gradients"}
        found = View(model).explain(request)["attribution"]
        assert (seen.pop().max_points, found["faithfulness"]["comprehensiveness"]) == (points, 0.4)
    monkeypatch.setattr(module, "MAX_PRODUCTS", 5e4)  # multiplications; a step of this network takes 324
    for method in ("leave-one-out", "integrated-gradients"):
        request = {"text": TEXT, "include": ["attribution"], "method": method}
        message = f"^{method} takes too long for 17 words; the page limits it to "
        with pytest.raises(RequestError, match=message) as caught:
            View(MODELS["pads"]).explain(request)
        assert (caught.value.field, caught.value.code) == ("method", "too_long")


def test_the_cache_is_limited_by_memory() -> None:
    model, texts = MODELS["cut"], [f"good film {'seen ' * n}" for n in range(9)]
    for size, cached in ((1 << 20, 9), (7 * 32 * 30, 3), (0, 2)):
        view = View(model, size)
        for text in texts:
            view.explain({"text": text})
        again = [view.explain({"text": text})["cache"]["reused"] for text in reversed(texts)]
        assert again[:cached] == [True] * cached
        assert not any(again[cached:])


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"text": ""}, "text", "empty"),
        ({"text": "\ud800"}, "text", "surrogate"),
        ({"series": [[1]]}, "text", "give `text`"),
        ({"include": ["prediction", "soul"]}, "include[1]", "must be one of prediction, prefix, prefix:all,"),
        ({"include": ["unit:9"]}, "include", "from 0 to 8"),
        ({"include": ["heatmap:y"]}, "include[0]", "unit:[0-9]{1,8}, heatmap:[ifgochrzn]"),
        ({"include": ["heatmap:z"]}, "include", "has the values i, f, g, o, c, h, not z"),
        ({"method": "magic"}, "method", "must be one of prefix-difference, cell"),
        ({"layer": 1}, "layer", "from 0 to 0"),
        ({"layer": "0"}, "layer", "integer"),
        ({"page": 1}, "body", "the fields are against, arrays, changes, columns,"),
        ({"changes": [{"gate": "f"}]}, "changes[0].value", "is missing"),
        ({"changes": [{"gate": "f", "value": 1.4}]}, "changes[0].value", "must lie in [0, 1]; got 1.4"),
        ({"changes": [{"gate": "f", "value": float("nan")}]}, "changes[0].value", "finite"),
        ({"changes": [{"gate": "f", "value": 10**400}]}, "changes[0].value", "valid number"),
        ({"changes": [{"gate": "f", "value": 1, "unit": 10**400}]}, "changes[0].unit", "or equal to 999999999"),
        ({"changes": [{"gate": "q", "value": 1}]}, "changes[0].gate", "must be i, f, g, o, h, r, z or n"),
        ({"changes": [{"gate": "f", "value": 1, "unit": 9}]}, "changes[0].unit", "from 0 to 8"),
        ({"changes": [{"gate": "f", "value": 1, "from": 2}]}, "changes[0].to", "both from and to"),
        ({"changes": [{"gate": "f", "value": 1, "from": 2, "to": 1}]}, "changes[0].to", "less than"),
        ({"changes": [{"gate": "f", "value": 1, "from": 2, "to": 99}]}, "changes[0].to", "must be from 0 to 16, the"),
        ({"changes": [{"gate": "h", "value": 1, "unit": 2}]}, "changes[0]", "ablates one unit"),
        ({"changes": [{"gate": "f", "value": 1}] * 33}, "changes", "at most 32"),
        ({"changes": [{"gate": "f", "value": 1, "layer": 3}]}, "changes[0].layer", "layer must be from 0 to 0, not 3"),
    ],
)
def test_errors_name_the_field(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        View(MODELS["pads"]).explain({"text": TEXT, "include": ["prediction"], **change})
    assert caught.value.field == field
    assert message in str(caught.value)


def test_too_many_words_are_rejected() -> None:
    message = "the network would read 2,001 words; the page shows at most 2,000"
    with pytest.raises(RequestError, match=message) as caught:
        View(MODELS["both ways, two layers"]).explain({"text": "good " * 2001})
    assert (caught.value.field, caught.value.code) == ("text", "too_long")


def test_invalid_series_are_rejected() -> None:
    """(2, 3) and (3, 2) have the same bytes; the second is refused, not answered from the cache."""
    for rows in ([], "x", [[1, 2]], [[1, 2, 3], [1, 2]], [[1, 2, np.inf]], [[1, 2, 10**400]], [[1, 2, "3"]]):
        with pytest.raises(RequestError) as caught:
            View(MODELS["series"]).explain({"series": rows})
        assert caught.value.field.startswith("series")
    view, numbers = View(MODELS["series"]), [0.5, -1.0, 2.0, 3.0, -0.25, 1.5]
    view.explain({"series": [numbers[:3], numbers[3:]]})
    with pytest.raises(RequestError, match="each a list of 3 numbers, not of 2"):
        view.explain({"series": [numbers[:2], numbers[2:4], numbers[4:]]})


@pytest.mark.parametrize(("name", "field", "step"), [("pads", "text", "word"), ("series", "series", "step")])
def test_an_overflow_is_named(name: str, field: str, step: str) -> None:
    model, request = MODELS[name], {"series": SERIES.tolist()} if name == "series" else {"text": TEXT}
    for part, message in (
        ("lstm.0.forward.bias", f"overflows: unit 0 of layer 1 at {step} 1"),
        ("dense.bias", "overflows"),
    ):
        parameters = {**model.parameters, part: np.full_like(model.parameters[part], np.nan)}
        broken = Model.of_network(model.architecture, parameters, model.preprocessor, model.classes)
        with pytest.raises(RequestError, match=message) as caught:
            View(broken).explain(request)
        assert (caught.value.field, caught.value.code) == (field, "overflow")


def test_leave_one_out_is_not_run_for_a_long_text() -> None:
    long = {"text": "good film " * 301, "include": ["attribution"]}
    found = View(MODELS["pads"]).explain({**long, "text": "good film " * 14})
    assert found["attribution"]["method"] == "leave-one-out"  # nothing was measured of this model
    wide = small_model(MODELS["pads"].preprocessor.encoding, seed=6, units=9)  # type: ignore[union-attr]
    found = View(wide).explain(long)
    assert found["attribution"]["method"] == "prefix-difference"
    assert "Leave-one-out takes too long for 603 words" in found["warnings"][-1]["message"]
    with pytest.raises(RequestError, match="limits it to 600 for this model"):
        View(wide).explain({**long, "method": "leave-one-out"})


def test_clamps_replace_an_unsupported_default_method_with_a_warning() -> None:
    plain = MODELS["pads"]
    metadata = dataclasses.replace(plain.metadata, attribution_method="integrated-gradients")
    model = dataclasses.replace(plain, metadata=metadata)
    request = {"text": TEXT, "include": ["attribution"]}
    assert View(model).explain(request)["attribution"]["method"] == "integrated-gradients"
    request["changes"] = [{"gate": "f", "value": 0.5}]
    found: Any = View(model).explain(request)
    assert found["attribution"]["method"] == "prefix-difference"
    assert "do not support clamps" in found["warnings"][0]["message"]
    with pytest.raises(RequestError, match="do not support clamps"):
        View(model).explain({**request, "method": "integrated-gradients"})


@pytest.mark.parametrize("name", MODELS)
def test_the_model_and_its_units(name: str) -> None:
    model = MODELS[name]
    found = json.loads(json.dumps(View(model).card, allow_nan=False))
    assert found["model"]["labels"] == list(model.classes)
    assert found["parameters"] == sum(row["parameters"] for row in found["layers"])
    assert found["card"] == model.card()
    assert set(found["faithfulness"]) <= set(METHODS)
    arch = model.architecture
    for layer in range(len(arch.layers)):
        for place, direction in enumerate(arch.top.directions):
            number = 4 + arch.top.units * place
            unit = json.loads(json.dumps(unit_summary_json(model, number, layer), allow_nan=False))
            assert (unit["unit"], unit["direction"]) == (number, direction)
            bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, -1)[:, 4]
            np.testing.assert_array_equal([unit["bias"][gate] for gate in "ifgo"], bias.astype(float))
            assert (unit["weights"] is None) == (layer < len(arch.layers) - 1)
    assert unit_summary_json(model, 4) == unit_summary_json(model, 4, len(arch.layers) - 1)
    for wrong in ((arch.top.size, 0), (0, len(arch.layers)), (-1, 0)):
        with pytest.raises(RequestError):
            unit_summary_json(model, *wrong)


def test_a_units_weights_give_its_contributions() -> None:
    model = dataclasses.replace(MODELS["pads"], ensemble=dataclasses.replace(MODELS["pads"].ensemble, weights=(1.5,)))
    trace = model.trace(TEXT)
    [[weight]] = unit_summary_json(model, 4)["weights"]["rows"]
    h = trace.lstms[0].h[:, 4].astype(float)
    np.testing.assert_allclose(trace.contributions[:, 4].sum(), weight * (h[-1] - trace.lstms[0].h0[4]), rtol=1e-5)


def test_unit_summary_and_history() -> None:
    plain = MODELS["pads"]
    assert unit_summary_json(plain, 2)["summary"] is None
    data = Labelled.of(TEXTS, ["no", "yes", "yes", "no", "no"])
    known = with_units(plain, data)
    found = json.loads(json.dumps(unit_summary_json(known, 2), allow_nan=False))
    assert found["summary"]["unit"] == 2
    assert found["summary"]["rises"]
    assert found["dataset"]["n"] == 5
    lines = '{"epoch": 1, "loss": 0.5, "best": true, "<b>": "<script>"}\n{"epoch": 2, "loss": NaN, "val_loss": 1e999}\n'
    trained = dataclasses.replace(plain, history_jsonl=lines)
    assert View(trained).card["history"] == [{"epoch": 1, "loss": 0.5, "best": True}, {"epoch": 2}]
    for line in ("{", "[" * 100_000):
        with pytest.raises(InputError, match=r"history\.jsonl, line 1: not JSON"):
            assert View(dataclasses.replace(trained, history_jsonl=line)).card


def test_an_lstm_of_weight_0_is_named_in_every_answer() -> None:
    assert View(MODELS["LSTM 0"]).card["members"] == [
        {"name": "LSTM", "weight": 0.0},
        {"name": "n-grams", "weight": 1.0},
    ]
    found = ask("LSTM 0", ["prediction", "attribution", "units"])
    assert "weight" in {one["code"] for one in found["warnings"]}
    assert found["attribution"]["lstm_note"].startswith("The LSTM has weight 0 in this model")
    assert not np.any(found["attribution"]["members"][0]["scores"])
    assert not np.any(found["units"]["effect"])
    assert ask("LSTM 0", ["offer"])["offer"] is None
    assert "weight" not in {one["code"] for one in ask("n-grams, cut", ["prediction"])["warnings"]}
