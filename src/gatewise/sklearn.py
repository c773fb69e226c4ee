"""Scikit-learn estimators for texts and for time series. They need the extra `sklearn`.

The parameters of an estimator are `recipe`, a few of its own, and the fields of `gatewise.training.Recipe` that are for
its data, each by its name: `units`, `epochs`, `order` of the n-grams. None, their default, is the value of the recipe.
`fit` checks all values before it trains.
"""

from collections.abc import Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gatewise._version import __version__
from gatewise.data.frames import check_index, frame_names, is_frame
from gatewise.data.inputs import convert_series, convert_texts, series_of
from gatewise.data.labelled import Labelled, Unlabelled, labelled_of, several, step_names
from gatewise.data.labels import ConvertedLabels, convert_labels
from gatewise.data.row_columns import joined_rows, split_rows, without_columns
from gatewise.data.schema import NO_ROW_COLUMNS, RowSchema, check_names
from gatewise.data.suspects import check_step_names
from gatewise.errors import InputError, MissingExtra, counted, warn
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.architecture import Architecture, Layer, parameter_shapes
from gatewise.storage.folder import Folder
from gatewise.training.callback import Callback
from gatewise.training.fields import fields_of
from gatewise.training.plan import TrainingPlan
from gatewise.training.pretrained import Pretrained, opened
from gatewise.training.progress import callback_of
from gatewise.training.recipe_fields import (
    NetworkParameters,
    SeriesParameters,
    TextParameters,
    UnlabelledParameters,
)
from gatewise.training.recipes import Recipe
from gatewise.training.stack import Threshold
from gatewise.training.training_data import ClassWeight
from gatewise.types import Array, ColumnNames

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.metrics import accuracy_score
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise MissingExtra("scikit-learn", "sklearn", "gatewise.sklearn") from error

__all__ = ["LSTMSeriesClassifier", "LSTMSeriesRegressor", "LSTMTextClassifier", "LSTMTextEncoder", "LSTMTextRegressor"]

# The entries of a pickle.
_VERSION = "_gatewise_version"
_FILES = "_gatewise_files"


# The parameters stand apart from the behaviour: scikit-learn has no types, and with a base class of unknown type a type
# checker accepts any keyword of a dataclass.


@dataclass(kw_only=True, eq=False, repr=False)
class _Parameters(NetworkParameters):
    """Parameters of every classifier and regressor."""

    recipe: str | Recipe | None = field(default=None, kw_only=False)
    numeric: str | Sequence[str] | None = None
    categorical: str | Sequence[str] | None = None
    warm_start: bool = False
    verbose: int | str = 0
    callbacks: Callback | Sequence[Callback] | None = None
    random_state: int | np.random.RandomState | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class _ClassifierParameters(_Parameters):
    class_weight: ClassWeight | None = None
    threshold: Threshold | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class _TextParameters(TextParameters, _Parameters):
    pretrained: PretrainedLM | Model | str | Path | None = None
    text: str | Sequence[str] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class _SeriesParameters(SeriesParameters, _Parameters):
    layout: str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class _TextClassifierParameters(UnlabelledParameters, _TextParameters, _ClassifierParameters):
    unlabelled: Unlabelled | Sequence[str] | None = None
    rules: Sequence[Any] | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class _SeriesClassifierParameters(_SeriesParameters, _ClassifierParameters):
    pass


class _Rows(BaseEstimator):  # type: ignore[misc]
    """An estimator of rows with numeric and categorical columns, whose `model_` is pickled as the files of its folder,
    which skops can read too.
    """

    model_: Model

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__(), _VERSION: __version__}
        model = state.pop("model_", None)
        if model is not None:
            state[_FILES] = {"precision": model.ensemble.network.precision, **model.to_files()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A DataWarning for an estimator that another version pickled: `Model.save` is for other versions."""
        version = state.pop(_VERSION, "an unknown version")
        if version != __version__:
            warn(
                f"{type(self).__name__} was pickled by gatewise {version}, and this is {__version__}: it may predict "
                "otherwise; model_.save and gatewise.load are made for that"
            )
        files = state.pop(_FILES, None)
        super().__setstate__(state)
        if files is not None:
            precision = files.pop("precision")
            self.model_ = Model.from_folder(Folder(Path("pickled estimator"), files, ""), precision)


class _Estimator(_Parameters, _Rows):
    """What the classifiers and regressors have in common: `fit` around a `TrainingPlan`."""

    _kind: ClassVar[Literal["text", "series"]]

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, validation: Any = None) -> Self:
        """Train on X and y.

        sample_weight (n,): the weight of each row in the loss; a row of weight 0 counts as absent. groups (n,): rows of
        one group stay on one side of the validation split. validation: (X, y) to validate on in place of a part of X.
        Raises InputError, a ValueError, before it trains, for parameters and data that cannot be used. Other errors as
        `gatewise.train`.
        """
        plan = self._plan()
        further = self._further_texts()
        plan.check(self._kind, None, unlabelled="unlabelled" in further, rules="rules" in further)
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        check_index(X, {"y": y, "sample_weight": sample_weight, "groups": groups})
        schema = self._named_schema()
        rows, columns = self._rows(X, schema, reset=True)
        if len(rows) < 2:
            raise InputError(f"X has {counted(len(rows), 'sample')}; training needs at least 2")
        steps = step_names(without_columns(X, schema.names), rows, y)
        labels = self._labels(y, reset=True)
        training = plan.bind(
            _labelled(rows, columns, labels, schema, sample_weight=sample_weight, groups=groups, steps=steps),
            validation=None if validation is None else self._validation_set(validation, rows, schema),
            has_groups=groups is not None,
            **further,
        )
        with closing(callback_of(self.callbacks, self.verbose)) as callback:
            self.model_ = training.run(callback)
        self.n_iter_ = self.model_.metadata.epochs
        return self

    def _plan(self) -> TrainingPlan:
        """The parameters as a plan. Raises InputError for those that cannot be used."""
        # Estimators of texts and of series, classifiers and regressors each lack some of the parameters.
        values = {path: getattr(self, path.rpartition(".")[2], None) for path in fields_of(Recipe)}
        changes = {path: value for path, value in values.items() if value is not None}
        recipe = self.recipe
        pretrained = getattr(self, "pretrained", None)
        start = None if pretrained is None else Pretrained.of(pretrained)
        if self.warm_start and hasattr(self, "model_"):
            # Without its fingerprint: to go on with the same data is no reason for a warning here.
            unmarked = replace(self.model_, metadata=replace(self.model_.metadata, fingerprint=""))
            start = Pretrained.of(unmarked)
            recipe = recipe or self.model_.metadata.recipe
            # The parameters made these tokens; the model has them now.
            changes |= {path: value for path, value in start.fixed.items() if path.startswith("text.")}
        return TrainingPlan(
            recipe=recipe,
            changes=changes,
            pretrained=start,
            class_weight=getattr(self, "class_weight", None),
            threshold=getattr(self, "threshold", None),
            seed=self._seed(),
        )

    def _further_texts(self) -> dict[str, Any]:
        """Unlabelled texts and rules that label them, where the estimator has some."""
        return {}

    def _named_schema(self) -> RowSchema:
        """The columns of X that the parameters name, for `fit`. The schema of `model_` has the facts of its training
        rows.
        """
        schema = RowSchema.named(several(self.numeric or ()), several(self.categorical or ()))
        check_names(schema, {"text": several(getattr(self, "text", None) or ())})
        return schema

    def _validation_set(self, validation: Any, rows: list[Any], schema: RowSchema) -> Labelled:
        """A validation set (X, y), for these training rows."""
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise InputError("validation must be (X, y)")
        X, y = validation
        channels = rows[0].shape[1] if isinstance(rows[0], np.ndarray) else None
        inputs, columns = self._rows(X, schema, reset=False, channels=channels)
        return _labelled(inputs, columns, self._labels(y, reset=False), schema)

    def _rows(
        self, X: Any, schema: RowSchema, *, reset: bool, channels: int | None = None
    ) -> tuple[list[Any], list[dict[str, float | str]]]:
        """X as n texts or n series (steps, channels), and the columns of each row by name; [] where the schema has
        none. reset: in fit, which sets what later calls are checked against. channels: of the series that the model was
        trained on.
        """
        raise NotImplementedError

    def _labels(self, y: Any, *, reset: bool) -> ConvertedLabels:
        """The labels of n rows. reset: in fit, which sets in what form `predict` answers."""
        raise NotImplementedError

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _logits(self, X: Any) -> Array:
        check_is_fitted(self, "model_")
        schema = self.model_.preprocessor.columns
        rows, columns = self._rows(X, schema, reset=False, channels=self.model_.channels or None)
        return np.asarray(self.model_.logits(joined_rows(rows, columns)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        return tags


class _Texts(_Rows):
    """Estimators of texts."""

    def _rows(
        self, X: Any, schema: RowSchema, *, reset: bool, channels: int | None = None
    ) -> tuple[list[Any], list[dict[str, float | str]]]:
        text = several(getattr(self, "text", None) or ())
        inputs, columns = split_rows(X, schema, refuse_unread=True)
        rows = convert_texts(inputs, name="X", columns=text)
        if reset:
            self.__dict__.pop("feature_names_in_", None)
            self.n_features_in_ = 1
        if is_frame(X) and (reset or hasattr(self, "feature_names_in_")):
            validate_data(self, X, reset=reset, skip_check_array=True)
        return rows, columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


class _TextEstimator(_TextParameters, _Texts, _Estimator):
    """Classifiers and regressors of texts."""

    _kind = "text"


class _SeriesEstimator(_SeriesParameters, _Estimator):
    """Classifiers and regressors of time series."""

    _kind = "series"

    def _rows(
        self, X: Any, schema: RowSchema, *, reset: bool, channels: int | None = None
    ) -> tuple[list[Any], list[dict[str, float | str]]]:
        inputs, columns = split_rows(X, schema, refuse_unread=True)
        return self._series(inputs, reset, channels), columns

    def _series(self, X: Any, reset: bool, channels: int | None) -> list[Any]:
        if _is_matrix(X) and channels in (None, 1) and getattr(getattr(X, "dtype", None), "kind", "f") not in "bSU":
            check_step_names(map(str, frame_names(X)) if is_frame(X) else ())
            kept = [np.float64, np.float32]
            matrix = validate_data(self, X, reset=reset, dtype=kept, ensure_all_finite="allow-nan")
            return list(series_of(matrix, "time-first", None if reset else 1))
        if reset:
            for name in ("feature_names_in_", "n_features_in_"):
                self.__dict__.pop(name, None)
        return convert_series(X, name="X", layout=self.layout, channels=channels)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags


class _Classifier(ClassifierMixin, _ClassifierParameters, _Estimator):  # type: ignore[misc]
    """Classification, and with several labels per row multi-label classification."""

    def _labels(self, y: Any, *, reset: bool) -> ConvertedLabels:
        y = _iterable(y)
        # In what form `predict` answers: "labels" for tuples of labels, a dtype for a matrix of 0 and 1.
        form: str | np.dtype[Any] | None = None
        if _is_indicator(y):
            matrix = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
            labels = convert_labels(matrix, "multilabel", name="y")
            classes = np.arange(matrix.shape[1])
            form = matrix.dtype
        elif _has_collections(y):
            labels = convert_labels(y, "multilabel", name="y")
            classes = labels.target.each.class_labels
            form = "labels"
        else:
            labels, classes = self._one_label(y)
        if reset:
            self.classes_: NDArray[Any] = classes
            self._form = form
        return labels

    def _one_label(self, y: Any) -> tuple[ConvertedLabels, NDArray[Any]]:
        """The labels and the classes as scikit-learn orders them."""
        converted_labels = convert_labels(y, "classification", name="y")
        column = column_or_1d(np.asarray(y), warn=True)
        if column.dtype == object and converted_labels.target.label_type != "str":
            column = np.array(column.tolist())
        if type_of_target(column) == "continuous":
            other = type(self).__name__.replace("Classifier", "Regressor")
            raise InputError(f"Unknown label type: continuous: y looks like regression: use {other}")
        classes, places = np.unique(column, return_inverse=True)
        names = tuple(map(str, classes))
        target = replace(converted_labels.target, classes=names)
        return ConvertedLabels(places.astype(np.intp), target), classes

    def decision_function(self, X: Any) -> Array:
        """Logits (n, K), for two classes (n,), above 0 where classes_[1], or the label, is predicted."""
        logits = self._logits(X)
        return np.asarray(self.model_.target.decision(logits))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities (n, K), columns in the order of classes_: those of the data's own frequencies, with
        class_weight too, which moves the thresholds of `predict` instead.
        """
        logits = self._logits(X)
        return np.asarray(self.model_.target.probabilities(logits))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:
        """The labels (n,). With several labels per row: 0 and 1 (n, K), or tuples of labels (n,), as y was."""
        logits = self._logits(X)
        predicted = np.asarray(self.model_.target.each.predicted(logits))
        if self._form is None:
            return np.asarray(self.classes_[predicted])
        if self._form != "labels":
            return predicted.astype(self._form)
        labels = np.empty(len(predicted), dtype=object)
        labels[:] = [tuple(self.classes_[row == 1].tolist()) for row in predicted]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy; with several labels per row the share of rows whose labels are all right."""
        predicted = self.predict(X)
        if self._form != "labels":
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        right = [set(labels) == set(truth) for labels, truth in zip(predicted, y, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class _Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Regression on one number or several."""

    def _labels(self, y: Any, *, reset: bool) -> ConvertedLabels:
        return convert_labels(_iterable(y), "regression", name="y")

    def predict(self, X: Any) -> Array:
        """The numbers (n,), or (n, M) for several numbers per row."""
        logits = self._logits(X)
        return np.asarray(self.model_.target.labels(logits))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class LSTMTextClassifier(_TextClassifierParameters, _TextEstimator, _Classifier):
    """A classifier of texts.

    >>> texts, labels = ["good good film", "a bad film", "so good", "bad, bad"] * 15, ["yes", "no", "yes", "no"] * 15
    >>> LSTMTextClassifier(epochs=8, units=8, batch_size=8, random_state=1).fit(texts, labels).score(texts, labels)
    1.0

    X: n texts in a list, an array, a Series or a data frame of one column; of several columns, text, numeric and
    categorical name those that the model reads. y: n labels, or for several labels per row (n, K) of 0 and 1 or n lists
    of labels.

    recipe, pretrained, unlabelled, rules, class_weight, threshold, callbacks, verbose: as in `gatewise.train`.
    warm_start: whether `fit` goes on from the model of the last one. random_state: the seed; None draws one. The other
    parameters are fields of the recipe (`gatewise.training.Recipe`); None: its value.
    """

    def _further_texts(self) -> dict[str, Any]:
        texts = {"unlabelled": self.unlabelled, "rules": self.rules}
        return {name: value for name, value in texts.items() if value is not None}


class LSTMTextRegressor(_TextEstimator, _Regressor):
    """A regressor of texts.

    >>> texts, stars = ["good good film", "a bad film", "so good", "bad, bad"] * 15, [5, 2, 4, 1] * 15
    >>> LSTMTextRegressor(epochs=1, units=8, random_state=1).fit(texts, stars).predict(texts[:3]).shape
    (3,)

    X and the parameters: as `LSTMTextClassifier`. y: numbers (n,) or (n, M).
    """


class LSTMTextEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Texts):  # type: ignore[misc]
    """Texts as features: the pooled states of the LSTM of a model, see `gatewise.model.Model.transform`.

    >>> LSTMTextEncoder().fit_transform(["A warm, funny and honest film.", "Two dull hours."]).shape  # bundled
    (2, 2048)

    pretrained: "bundled", a model of texts, a language model of `gatewise.pretrain`, or the folder of one. Nothing is
    fitted, so the features of the training rows are those of new rows. X: as `LSTMTextClassifier`.
    """

    def __init__(self, pretrained: Any = "bundled") -> None:
        self.pretrained = pretrained

    def fit(self, X: Any, y: Any = None) -> Self:
        """Open the model. y is not read. Raises InputError for a model without an LSTM over texts."""
        self._rows(X, NO_ROW_COLUMNS, reset=True)
        self.model_ = _encoder(self.pretrained)
        return self

    def transform(self, X: Any) -> Array:
        """Features (n, d) float32 of n texts. Raises InputError for an empty text."""
        check_is_fitted(self)
        texts, _ = self._rows(X, NO_ROW_COLUMNS, reset=False)
        return self.model_.transform(texts)

    @property
    def _n_features_out(self) -> int:
        return self.model_.architecture.features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # texts have no type of numbers
        return tags


class LSTMSeriesClassifier(_SeriesClassifierParameters, _SeriesEstimator, _Classifier):
    """A classifier of time series.

    >>> series = np.sin(np.arange(20) + np.arange(60)[:, None]) + np.arange(60)[:, None] % 2  # (60, 20)
    >>> LSTMSeriesClassifier(recipe="lstm", epochs=1, random_state=1).fit(series, np.arange(60) % 2).classes_
    array([0, 1])

    X: a matrix (n, steps), or n series in any form that `gatewise.train` takes; numeric and categorical name further
    columns of a data frame that the model reads. y and the parameters: as `LSTMTextClassifier`. layout: of arrays
    (n, ., .), "time-first" or "channels-first".
    """


class LSTMSeriesRegressor(_SeriesEstimator, _Regressor):
    """A regressor of time series.

    >>> series = np.sin(np.arange(20) + np.arange(60)[:, None])  # (60, 20)
    >>> LSTMSeriesRegressor(recipe="lstm", epochs=1, random_state=1).fit(series, series[:, -1]).predict(series).shape
    (60,)

    X and the parameters: as `LSTMSeriesClassifier`. y: numbers (n,) or (n, M).
    """


def _encoder(pretrained: Any) -> Model:
    """The model; of a language model one of mean and maximum of its states, whose dense layer is 0."""
    model = opened(pretrained)
    if isinstance(model, PretrainedLM):
        if not model.units:
            raise InputError("the pretrained model has embeddings only, no LSTM")
        arch = Architecture(
            "tokens",
            model.encoding.vocab_size,
            model.embedding_dim,
            (Layer(model.units, "both"),),
            "mean+max",
            # Those of the recipe `finetune`.
            max_length=400,
            truncation="middle",
        )
        zeros = {name: np.zeros(shape, dtype=np.float32) for name, shape in parameter_shapes(arch).items()}
        parameters = {name: model.parameters.get(name, zero) for name, zero in zeros.items()}
        return Model.of_network(arch, parameters, TextPreprocessor(model.encoding), ("0", "1"))
    if not isinstance(model.preprocessor, TextPreprocessor):
        raise InputError("the pretrained model is for series, and these are texts")
    return model


def _labelled(
    rows: list[Any],
    columns: list[dict[str, float | str]],
    labels: ConvertedLabels,
    schema: RowSchema,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    steps: Sequence[str] = (),
) -> Labelled:
    """The rows with their labels. columns: of each row, as the schema reads them. steps: the names of the steps of
    series.
    """
    if len(labels.labels) != len(rows):
        raise InputError(f"y must have one label for each of the {len(rows):,} rows of X, got {len(labels.labels):,}")
    if sample_weight is not None:
        sample_weight = np.array(sample_weight, dtype=np.float64)
    of_row: Any = {name: tuple(names) for name, names in schema.names_by_type.items()}
    names = ColumnNames(**of_row)
    return labelled_of(
        rows,
        columns,
        labels,
        "the data given to fit",
        columns=names,
        groups=groups,
        sample_weight=sample_weight,
        steps=steps,
    )


def _iterable(values: Any) -> Any:
    """The values, or their array where they are no more than convertible to one."""
    return values if isinstance(values, Iterable) or not hasattr(values, "__array__") else np.asarray(values)


def _is_indicator(y: Any) -> bool:
    """Whether y is a matrix (n, K) of 0 and 1."""
    try:
        with np.errstate(invalid="ignore"):  # infinite numbers are refused later
            return bool(type_of_target(y) == "multilabel-indicator")
    except (TypeError, ValueError):
        return False


def _has_collections(y: Any) -> bool:
    """Whether each row of y is a list or set of labels, and not the one label of a column (n, 1)."""
    if is_frame(y) or getattr(y, "ndim", 1) != 1:
        return False
    rows = list(y)
    collections = [row for row in rows if isinstance(row, list | tuple | Set)]
    return bool(collections) and not all(isinstance(row, list | tuple) and len(row) == 1 for row in rows)


def _is_matrix(X: Any) -> bool:
    """Whether X is (n, steps), or should have been: an array, a data frame, or lists of equal length."""
    if hasattr(X, "ndim"):
        return X.ndim <= 2 and not (X.ndim == 1 and X.dtype == object)
    if not isinstance(X, list | tuple):
        return hasattr(X, "__array__") or is_frame(X)
    lengths = {len(row) if hasattr(row, "__len__") else 0 for row in X}
    first = X[0] if len(X) else 0
    if isinstance(first, list | tuple):
        return len(lengths) == 1 and not any(hasattr(value, "__len__") for value in first)
    return getattr(first, "ndim", 0) < 2 and len(lengths) <= 1
