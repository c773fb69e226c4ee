"""The sentences of the behavioural tests, and what counts as a right prediction."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import gatewise as gw
from benchmarks.checklist import LARGEST, TEMPLATES, WORDS, Category, categories, positive_probability
from gatewise.errors import InputError
from gatewise.model import bundled


def test_every_category_has_different_sentences_of_every_sentiment() -> None:
    found = categories()
    assert [category.name for category in found] == list(TEMPLATES)
    for category in found:
        assert set(category.sentiments) == set(TEMPLATES[category.name])
        assert 80 <= len(category.sentences) <= LARGEST
        assert len(set(category.sentences)) == len(category.sentences)
        assert not any("{" in sentence or "  " in sentence for sentence in category.sentences)


def test_the_sentences_are_equal_in_every_call() -> None:
    assert categories() == categories()


def test_sentences_have_an_before_a_vowel() -> None:
    sentences = [sentence for category in categories() for sentence in category.sentences]
    assert not [sentence for sentence in sentences if re.search(r"\b[Aa] [aeiou]", sentence)]
    assert any(" an awful " in sentence for sentence in sentences)


def test_no_word_is_in_lists_of_both_sentiments() -> None:
    good, bad = ({word for name in names for word in WORDS[name]} for names in (("good", "loved"), ("bad", "hated")))
    assert not good & bad


def test_a_misspelt_sentence_has_the_letters_of_its_template() -> None:
    typos = next(category for category in categories() if category.name == "typos")
    known = {word for words in WORDS.values() for word in words}
    known |= {"I", "A", "An", "this", "and", "the", "is", "with"}
    for sentence in typos.sentences:
        assert len({word.strip(".,") for word in sentence.split()} - known) == 1, sentence


def test_a_neutral_sentence_needs_a_probability_of_both_classes() -> None:
    category = Category("c", ("a", "b", "c", "d"), ("neutral", "neutral", "positive", "negative"))
    assert category.right(np.array([0.31, 0.29, 0.51, 0.49])).tolist() == [True, False, True, True]
    assert category.right(np.array([0.69, 0.71, 0.49, 0.51])).tolist() == [True, False, False, False]


def test_the_loss_of_a_neutral_sentence_is_least_at_one_half() -> None:
    category = Category("c", ("a",), ("neutral",))
    assert category.loss(np.array([0.5])) == pytest.approx(np.log(2))
    assert category.loss(np.array([0.9])) > np.log(2)


def test_the_probability_is_that_of_the_class_positive() -> None:
    model = gw.load(bundled.FOLDER)
    liked, disliked = positive_probability(model, ("I loved this wonderful film.", "A terrible, boring film."))
    assert liked > 0.9
    assert disliked < 0.1
    with pytest.raises(InputError, match="classes negative and positive, not bad, good"):
        positive_probability(replace(model, classes=("bad", "good")), ("I loved this film.",))
