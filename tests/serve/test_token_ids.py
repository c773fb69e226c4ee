"""A model without a vocabulary reads token ids: it is served, and its page says what it takes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.text.index import IndexEncoding
from gatewise.training.train import train
from tests.serve.server import ask, post, served
from tests.small_models import small_model

SIZE = 60
RNG = np.random.default_rng(17)
IDS = [RNG.integers(1, SIZE, int(length)).tolist() for length in RNG.integers(3, 9, 7)]


def model_of(masked: bool, seed: int) -> Model:
    model = small_model(IndexEncoding(SIZE), ("a", "b", "c"), seed, units=5)
    return replace(model, preprocessor=TextPreprocessor(IndexEncoding(SIZE), StepRule(masked=masked)))


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {"masked": model_of(True, 8), "plain": model_of(False, 9), "tiny": small_tiny()}


def small_tiny() -> Model:
    """Of a vocabulary that an example of other ids does not fit."""
    return small_model(IndexEncoding(2), ("no", "yes"), 10, units=3)


@pytest.fixture(scope="module")
def port(models: dict[str, Model]) -> Iterator[int]:
    with served(models, max_batch=64) as found:
        yield found


def probabilities(answer: Any) -> Any:
    assert answer.status == 200, answer.body
    return [list(one["probabilities"].values()) for one in answer.json()["predictions"]]


@pytest.mark.parametrize("name", ["masked", "plain"])
def test_ids_as_lists_and_as_texts(port: int, models: dict[str, Model], name: str) -> None:
    expected = models[name].predict_proba(IDS)
    texts = [" ".join(map(str, ids)) for ids in IDS]
    for inputs in (IDS, texts, [*IDS[:3], *texts[3:]]):
        found = probabilities(post(port, "/predict", {"model": name, "inputs": inputs}))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    found = probabilities(post(port, "/predict", {"model": name, "text": texts[2]}))
    np.testing.assert_allclose(found, expected[2:3], atol=1e-5)


def test_an_explanation_the_card_and_the_description(port: int) -> None:
    asked = {"model": "plain", "text": "7 3 59", "include": ["prediction", "attribution"]}
    explained = post(port, "/explain", asked).json()
    assert explained["model"]["token_ids"] == SIZE
    assert ask(port, "GET", "/model?model=tiny").json()["model"]["token_ids"] == 2
    described = ask(port, "GET", "/openapi.json").json()
    examples = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for name in ("masked", "plain", "tiny"):
        assert post(port, "/predict", examples[f"{name}: one text"]["value"]).status == 200
    assert b"Write token ids below" in ask(port, "GET", "/main.js").body


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("A film", "is not a token id below 60"),
        ("3 60", "is not a token id below 60"),
        ([3, 60], "is not a token id below 60"),
        ([3, -1], "is not a token id below 60"),
        ([3.5], "must be token ids below 60"),
        ([3, None], "must be token ids below 60"),
        ([[3], [4]], "must be token ids below 60"),
        ([0, 0], "has no token but pads (id 0), which the network leaves out"),
    ],
)
def test_what_is_refused(port: int, wrong: Any, message: str) -> None:
    answer = post(port, "/predict", {"model": "masked", "inputs": [[4, 9], wrong]})
    assert (answer.status, answer.error["field"]) == (400, "inputs[1]")
    assert message in answer.error["message"]


def test_a_row_of_pads_fails_no_other_request(port: int, models: dict[str, Model]) -> None:
    """Requests that run in one batch with it have their predictions."""
    expected = models["masked"].predict_proba(IDS)
    bodies = [{"model": "masked", "inputs": [ids]} for ids in IDS] + [{"model": "masked", "inputs": [[0, 0]]}] * 3
    with ThreadPoolExecutor(len(bodies)) as pool:
        for _ in range(5):
            answers = list(pool.map(lambda body: post(port, "/predict", body), bodies))
            np.testing.assert_allclose([probabilities(one)[0] for one in answers[: len(IDS)]], expected, atol=1e-5)
            assert [one.status for one in answers[len(IDS) :]] == [400] * 3


def test_the_library_names_the_row(models: dict[str, Model]) -> None:
    with pytest.raises(InputError, match=r"^row 2 has no token but pads \(id 0\), which the network leaves out$"):
        models["masked"].predict([*IDS[:2], [0, 0, 0]])
    with pytest.raises(InputError, match=r"^row 1: '61' \(word 2\) is not a token id below 60$"):
        models["plain"].predict([IDS[0], [4, 61]])


@pytest.mark.parametrize("recipe", [None, "finetune"])
def test_fine_tuning_on_ids(models: dict[str, Model], recipe: str | None) -> None:
    """Lists and arrays of ids give what texts of the same ids give."""
    ids = RNG.integers(1, SIZE, (80, 6))
    ids[:, 2] = RNG.choice([11, 12], 80)
    labels = np.where(ids[:, 2] == 11, "eleven", "twelve")
    texts = [" ".join(map(str, row)) for row in ids.tolist()]
    options: dict[str, Any] = {"pretrained": models["plain"], "recipe": recipe, "seed": 3}
    if recipe is not None:
        options["epochs"] = 1
    trained = [train(data, labels, **options) for data in (texts, ids, ids.tolist())]
    assert len({model.fingerprint for model in trained}) == 1
    np.testing.assert_array_equal(trained[1].predict_proba(ids), trained[0].predict_proba(texts))
