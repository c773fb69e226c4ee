"""scikit-learn's own estimator checks, on series with its arrays (n, steps), on texts with each row as a text.

Each check either passes or is in a table with the reason; a check of the table that passes fails the test.
"""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from gatewise.errors import InputError
from gatewise.sklearn import (
    LSTMSeriesClassifier,
    LSTMSeriesRegressor,
    LSTMTextClassifier,
    LSTMTextEncoder,
    LSTMTextRegressor,
)

TEXT: dict[str, Any] = {"epochs": 1, "units": 4, "batch_size": 64, "random_state": 0}
SERIES = TEXT | {"recipe": "series", "features": 0, "folds": 0}
# With settings that learn enough for the checks that want a minimum score:
TEXT_LEARNS = TEXT | {"epochs": 3, "units": 8, "batch_size": 16, "learning_rate": 0.05}
CLASSES_LEARN = SERIES | {"epochs": 4, "units": 8, "batch_size": 16, "learning_rate": 0.05}
NUMBERS_LEARN = SERIES | {"features": 84, "folds": 2}
LEARNING = ("check_classifiers_train", "check_regressors_train", "check_class_weight_classifiers")
"""The checks that want a minimum score."""

SPLIT = "rows of weight 2 and rows repeated twice give another validation split and another order of the batches"
EXPECTED_FAILED_CHECKS = {"check_sample_weight_equivalence_on_dense_data": SPLIT}

NOT_FOR_TEXTS = {
    "check_array_api_input": "texts are in no numeric array",
    "check_complex_data": "no text is complex",
    "check_dtype_object": "numbers in an array of objects; texts in one are in tests/data/test_inputs.py",
    "check_estimators_empty_data_messages": "expects the number of columns in the message; see test_no_text",
    "check_estimator_sparse_array": "texts are in no sparse matrix",
    "check_estimator_sparse_matrix": "texts are in no sparse matrix",
    "check_estimator_sparse_tag": "texts are in no sparse matrix",
    "check_estimators_dtypes": "types of numbers",
    "check_estimators_nan_inf": "missing and infinite numbers; missing texts are in tests/data/test_inputs.py",
    "check_f_contiguous_array_estimator": "the memory order of a matrix",
    "check_fit1d": "expects that one dimension is refused, the usual form of texts",
    "check_fit2d_1feature": "a matrix of one column; texts in one are in tests/data/test_inputs.py",
    "check_fit2d_predict1d": "expects that one dimension is refused, the usual form of texts",
    "check_n_features_in": "texts are one column, whatever they contain",
    "check_n_features_in_after_fitting": "texts are one column, whatever they contain",
    "check_positive_only_tag_during_fit": "negative numbers",
}


class _RowsAsTexts:
    """A text estimator that takes the matrices of the checks, each row as a text."""

    def _rows(self, X: Any, schema: Any, **options: Any) -> Any:
        matrix = np.asarray(X, dtype=np.float64)
        if options["reset"]:
            self._width = matrix.shape[1]
        elif matrix.shape[1] != self._width:
            raise InputError(f"X has {matrix.shape[1]} columns, not {self._width}")
        return super()._rows(as_texts(matrix), schema, **options)  # type: ignore[misc]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags


def as_texts(X: Any) -> list[str]:
    """One text per row: each number as words for its column, its sign and its rounded value."""
    return [
        " ".join(f"x{k} x{k}{'up' if v > 0 else 'down'} x{k}is{round(abs(v) * 2)}" for k, v in enumerate(row))
        for row in X.tolist()
    ]


def checks(kind: type[BaseEstimator], settings: dict[str, Any], learns: dict[str, Any]) -> list[Any]:
    """(estimator, check) for each check of scikit-learn, as parameters of a test."""
    skipped = NOT_FOR_TEXTS if issubclass(kind, _RowsAsTexts) else {}
    return [
        pytest.param(
            clone(estimator).set_params(**(learns if check.func.__name__ in LEARNING else settings)),
            check,
            id=f"{kind.__name__}-{check.func.__name__}{list(check.keywords.values()) or ''}",
        )
        for estimator, check in estimator_checks_generator(kind())
        if check.func.__name__ not in skipped
    ]


class TextClassifier(_RowsAsTexts, LSTMTextClassifier):
    pass


class TextRegressor(_RowsAsTexts, LSTMTextRegressor):
    pass


class TextEncoder(_RowsAsTexts, LSTMTextEncoder):
    pass


def run(estimator: BaseEstimator, check: Any) -> None:
    """Run a check. One in EXPECTED_FAILED_CHECKS must fail."""
    reason = EXPECTED_FAILED_CHECKS.get(check.func.__name__)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"the data given to fit: ")  # few rows
        if reason is None:
            return check(estimator)
        with pytest.raises(AssertionError):
            check(estimator)


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        *checks(LSTMSeriesClassifier, SERIES, CLASSES_LEARN),
        *checks(LSTMSeriesRegressor, SERIES, NUMBERS_LEARN),
        *checks(TextClassifier, TEXT, TEXT_LEARNS),
        *checks(TextRegressor, TEXT, TEXT_LEARNS),
        *checks(TextEncoder, {}, {}),
    ],
)
def test_a_check_of_scikit_learn(estimator: BaseEstimator, check: Any) -> None:
    run(estimator, check)


@pytest.mark.parametrize("kind", [LSTMTextClassifier, LSTMTextRegressor])
def test_no_text(kind: type[BaseEstimator]) -> None:
    for X, y in (([], []), (np.empty((0, 1), dtype=object), [])):
        with pytest.raises(InputError):
            kind().fit(X, y)


def test_the_lists_name_checks_that_exist() -> None:
    names = {
        check.func.__name__
        for kind in (TextClassifier, TextRegressor)
        for _, check in estimator_checks_generator(kind())
    }
    if "check_all_zero_sample_weights_error" in names:  # of scikit-learn 1.9
        assert set(NOT_FOR_TEXTS) | set(EXPECTED_FAILED_CHECKS) | set(LEARNING) <= names
