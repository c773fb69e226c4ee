"""Rows of the data in a model folder: only on request, and said on the card."""

from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.data import Labelled
from gatewise.model import with_examples
from gatewise.model.model import Model
from gatewise.target import target_of
from tests.refusals import assert_refused
from tests.serve.page.conftest import number_model, text_model


def test_each_class_comes_before_a_second_row_of_one() -> None:
    texts = [f"text {n} " * (1 + n % 5) for n in range(40)] + ["word " * 400]
    labels = ["good" if n % 8 else "bad" for n in range(41)]
    data = Labelled.of(texts, labels)
    found = with_examples(text_model(), data, 4).metadata.examples
    assert {one.label for one in found[:2]} == {"good", "bad"}
    assert all(one.text in texts[:40] for one in found), "no text of 2,000 characters"
    assert found == with_examples(text_model(), data, 4).metadata.examples, "always the same rows"
    assert len(with_examples(text_model(), data, 50).metadata.examples) == 40


def test_a_series_with_missing_values_is_kept(tmp_path: Path) -> None:
    model = number_model()
    [one] = model.metadata.examples
    assert one.series == ((1.0,), (None,), (2.5,), (4.0,))
    assert one.label == "31.25"
    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert again.metadata.examples == model.metadata.examples
    assert "| examples | 1 row of the data in config.json |" in again.card()


def test_kept_series_fit_into_config_json(tmp_path: Path) -> None:
    series = [np.random.default_rng(n).normal(size=(1_900, 1)).astype(np.float32) for n in range(15)]
    data = Labelled(series, np.zeros((15, 1)), target_of(("price",), "regression"))
    model = with_examples(number_model(), data, 15)
    assert len(model.metadata.examples) == 10, "20,000 numbers at most"
    model.save(tmp_path / "m")


def test_training_keeps_no_row_unless_asked(tmp_path: Path) -> None:
    texts = [f"{'good' if n % 2 else 'bad'} secret{n} film" for n in range(60)]
    labels = ["yes" if n % 2 else "no" for n in range(60)]
    tiny: dict[str, Any] = {"units": 4, "epochs": 1, "recipe": "fast", "verbose": 0}
    plain = gw.train(texts, labels, **tiny)
    assert plain.metadata.examples == ()
    plain.save(tmp_path / "plain")
    assert b'"examples": []' in (tmp_path / "plain" / "config.json").read_bytes().replace(b":[]", b": []")
    kept = gw.train(texts, labels, examples=2, **tiny)
    assert {one.label for one in kept.metadata.examples} == {"yes", "no"}
    assert all(one.text in texts for one in kept.metadata.examples)


def test_data_of_another_task_is_refused() -> None:
    data = Labelled([np.zeros((3, 1), dtype=np.float32)], np.array([0]), target_of(("a", "b")))
    assert_refused(
        "the model was trained for regression, and the labels of the data are for classification",
        with_examples,
        number_model(),
        data,
    )


def test_cards_say_what_is_predicted() -> None:
    assert "This model predicts a number from series of 1 channel: price." in number_model().card()
    assert "probabilit" not in number_model().card()
    many: Model = text_model(tuple(f"class {k}" for k in range(80)), outputs=80)
    assert "into 80 classes: class 0, class 1," in many.card()
    assert "class 59 and 20 more." in many.card()
    two = text_model().with_thresholds((0.3125,))
    assert "It predicts good from a probability of 0.312 on." in two.card()
