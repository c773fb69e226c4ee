"""A scikit-learn estimator, for pipelines and searches. Needs the extra `sklearn`.

>>> from gatewise.sklearn import LSTMClassifier
>>> texts = ["good good film", "a bad film", "so good", "bad, bad"] * 10
>>> model = LSTMClassifier(epochs=8, units=8, batch_size=8, random_state=1).fit(texts, ["+", "-", "+", "-"] * 10)
>>> [str(label) for label in model.predict(["good", "bad"])]
['+', '-']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, MissingExtra
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import train
from gatewise.types import Array

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtra("scikit-learn", "sklearn", "gatewise.sklearn") from error

__all__ = ["LSTMClassifier"]

_RECIPE_FIELDS = ("units", "embedding_dim", "epochs", "batch_size", "learning_rate", "ngram_order")


class LSTMClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An LSTM classifier for texts, or for series, as a scikit-learn estimator.

    X: n texts, or n series, each (steps,) or (steps, channels), of any lengths; an array (n, steps) is n series of one
    channel, (n, steps, channels) is n series. y (n,): labels of any type that numpy.unique sorts.

    recipe: a recipe's name; None: "fast", or with `pretrained` "finetune", "few-shot" below 2,000 rows. pretrained: a
    language model of `gatewise.pretrain`, or its folder. unlabelled: further texts (see `gatewise.train`). units,
    embedding_dim, epochs, batch_size, learning_rate, ngram_order: replace the recipe's value unless None. random_state:
    None, a number or a RandomState; fixes split, initial weights, order and dropout.

    After fit: model_ (`gatewise.Model`, with trace and explain), classes_ (K,), n_iter_ (epochs run).
    """

    def __init__(
        self,
        recipe: str | None = None,
        *,
        pretrained: PretrainedLM | str | None = None,
        unlabelled: Sequence[str] | None = None,
        units: int | None = None,
        embedding_dim: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        ngram_order: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.recipe = recipe
        self.pretrained = pretrained
        self.unlabelled = unlabelled
        self.units = units
        self.embedding_dim = embedding_dim
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.ngram_order = ngram_order
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> LSTMClassifier:
        """Train on X and y. The recipe splits off a validation set, which chooses the epoch. Errors as `train`."""
        inputs = _inputs(X)
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != len(inputs):
            raise InputError(f"y must be ({len(inputs)},), one label per input, got {labels.shape}")
        self.classes_, places = np.unique(labels, return_inverse=True)
        # The model's classes are indices into classes_, so that distinct labels with equal text stay distinct.
        names = tuple(str(k) for k in range(len(self.classes_)))
        rows = Labelled.of(inputs, ["0"] * len(inputs)).inputs
        data = Labelled(rows, places.astype(np.int64), names, source="the data given to fit")
        changes = {k: getattr(self, k) for k in _RECIPE_FIELDS}
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(2**31))
        chosen = {k: v for k, v in changes.items() if v is not None}
        self.model_: Model = train(
            data, recipe=self.recipe, pretrained=self.pretrained, unlabelled=self.unlabelled, seed=seed, **chosen
        )
        self.n_iter_ = self.model_.metadata.epochs
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, K), columns in the order of classes_."""
        check_is_fitted(self, "model_")
        return self.model_.predict_proba(_inputs(X))

    def predict(self, X: Any) -> Array:
        """The most probable label of each input (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def _inputs(X: Any) -> Sequence[Any]:
    """X as a list of texts, or of series (steps, channels)."""
    if isinstance(X, str):
        raise InputError("X must be a list of texts, not one text")
    rows = list(X)
    if rows and not isinstance(rows[0], str):
        series = [np.asarray(row, dtype=np.float32) for row in rows]
        return [row[:, None] if row.ndim == 1 else row for row in series]
    return [str(row) for row in rows]
