"""The whole IMDB archive, where it is: these tests are in one file, so that one process reads it once."""

from collections import Counter

import numpy as np

from gatewise.data import Splits, embedded_reviews
from gatewise.text import keras_decode, keras_encode, keras_index, keras_words


def test_the_labelled_reviews(reviews: Splits) -> None:
    train, test = reviews.train, reviews.test
    for half, data in (("train", train), ("test", test)):
        assert data.labels.tolist() == [1] * 12_500 + [0] * 12_500
        assert data.classes == ("negative", "positive")
        assert data.source == (
            f"IMDB reviews, the {half} half: 12,500 positive and 12,500 negative, from 'aclImdb_v1.tar.gz'"
        )
    assert reviews.note == "the official test half"
    # train/urls_pos.txt begins with three lines of tt0453418 and two of tt0064354.
    assert train.groups[:5].tolist() == [453418] * 3 + [64354] * 2
    assert len(set(train.groups.tolist()) & set(test.groups.tolist())) == 1
    assert len(set(train.inputs)) == 25_000 - 96


def test_the_embedded_reviews_are_the_train_half(reviews: Splits) -> None:
    whole = embedded_reviews()
    assert len(whole) == 25_000
    assert int(whole.labels.sum()) == 12_500
    assert whole.classes == reviews.train.classes
    pairs = [sorted(zip(d.inputs, d.labels.tolist(), strict=True)) for d in (whole, reviews.train)]
    differ = sum(a != b for a, b in zip(*pairs, strict=True))
    assert differ == 0


def test_the_review_that_the_tutorial_prints(reviews: Splits, published_index: dict[str, int]) -> None:
    text = reviews.train.inputs[12_500 + 8_203]  # train/neg/8203: 12,500 positive reviews come first
    assert isinstance(text, str)
    assert text.startswith("Begins better than it ends.")
    assert reviews.train.labels[12_500 + 8_203] == 0
    ids = keras_encode(text, published_index)
    assert ids.dtype == np.int32
    assert len(ids) == 43
    assert ids[:6].tolist() == [1, 778, 128, 74, 12, 630]
    words = keras_words(text)
    assert keras_decode(ids, published_index) == " ".join(
        ["<start>", *(w if published_index.get(w, 10**9) + 3 < 10_000 else "<unk>" for w in words)]
    )
    assert keras_decode(keras_encode(text, published_index, None, start=None), published_index).split() == words


def test_the_published_index_is_rebuilt_from_the_train_reviews(
    reviews: Splits, published_index: dict[str, int]
) -> None:
    texts = [text for text in reviews.train.inputs if isinstance(text, str)]
    index = keras_index(texts)
    assert len(index) == 88_584
    assert index.keys() == published_index.keys()
    counts = Counter(word for text in texts for word in keras_words(text))
    published = sorted(published_index, key=published_index.__getitem__)
    # The same order but for ties: the counts never rise along the published order, and along ours they are the same.
    along = [counts[word] for word in published]
    assert along == sorted(along, reverse=True)
    assert [counts[word] for word in index] == along
