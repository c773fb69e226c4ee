"""The scikit-learn estimator in clone, pipelines, searches and pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import (
    check_do_not_raise_errors_in_init_or_set_params,
    check_estimator_cloneable,
    check_estimator_repr,
    check_get_params_invariance,
    check_mixin_order,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
    check_valid_tag_types,
)

from gatewise.errors import InputError
from gatewise.sklearn import LSTMClassifier
from gatewise.training import PretrainRecipe, pretrain
from tests.training.texts import made_reviews

SMALL = LSTMClassifier(units=10, embedding_dim=8, epochs=6, batch_size=16, learning_rate=0.02, random_state=3)
DATA = made_reviews(240, 5)
NAMES = np.array(["bad", "good"])[DATA.labels]


def test_the_checks_of_scikit_learn_that_need_no_numeric_matrix() -> None:
    for check in (
        check_no_attributes_set_in_init,
        check_get_params_invariance,
        check_set_params,
        check_do_not_raise_errors_in_init_or_set_params,
        check_parameters_default_constructible,
        check_mixin_order,
        check_estimator_cloneable,
        check_estimator_repr,
        check_valid_tag_types,
    ):
        check("LSTMClassifier", LSTMClassifier())


def test_fit_predict_score_and_the_same_again() -> None:
    one, two = clone(SMALL).fit(DATA.inputs, NAMES), clone(SMALL).fit(DATA.inputs, NAMES)
    fresh = made_reviews(100, 6)
    assert one.score(fresh.inputs, np.array(["bad", "good"])[fresh.labels]) > 0.85
    np.testing.assert_array_equal(one.predict_proba(fresh.inputs), two.predict_proba(fresh.inputs))
    assert one.classes_.tolist() == ["bad", "good"]
    assert one.n_iter_ == 6
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.predict(fresh.inputs), one.predict(fresh.inputs))


def test_in_a_pipeline_and_a_search() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    search = GridSearchCV(make_pipeline(lower, clone(SMALL)), {"lstmclassifier__units": [10, 12]}, cv=2)
    search.fit(DATA.inputs, NAMES)
    assert search.best_score_ > 0.65  # 0.5 is chance, 0.03 its standard error
    assert search.best_estimator_[-1].model_.architecture.units in (10, 12)


@pytest.mark.parametrize("labels", [[0, 1], [1.5, -2.0], [True, False]])
def test_labels_come_back_as_they_were(labels: list[object]) -> None:
    y = np.array(labels)[DATA.labels]
    predicted = clone(SMALL).set_params(epochs=2).fit(DATA.inputs, y).predict(DATA.inputs[:20])
    assert predicted.dtype == y.dtype
    assert set(predicted.tolist()) <= set(y.tolist())


def test_a_matrix_is_one_channel_a_row() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(30)
    X = np.stack([np.sin(t * (0.3 + 0.5 * (n % 2))) + rng.normal(0, 0.2, 30) for n in range(160)])
    y = np.arange(160) % 2
    model = LSTMClassifier(units=10, epochs=8, batch_size=16, random_state=0).fit(X[:120], y[:120])
    assert model.score(X[120:], y[120:]) > 0.85
    np.testing.assert_allclose(model.predict_proba(X[120:, :, None]), model.predict_proba(X[120:]), atol=1e-6)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="one label per input"):
        clone(SMALL).fit(DATA.inputs, NAMES[:-1])
    with pytest.raises(InputError, match="not one text"):
        clone(SMALL).fit("a text", ["x"])


def test_from_a_base_with_texts_without_labels() -> None:
    texts = [str(text) for text in made_reviews(300, 40).inputs]
    recipe = PretrainRecipe("test", 8, 6, vocab_size=90, epochs=0.5, batch_size=8, bptt=11, num_sampled=24)
    pretrained = pretrain(texts, recipe=recipe)
    data = made_reviews(80, 3)
    model = LSTMClassifier(pretrained=pretrained, unlabelled=texts[:40], epochs=1, ngram_order=1, random_state=2)
    fitted = clone(model).fit(data.inputs, data.labels)
    assert fitted.model_.metadata.recipe == "few-shot"
    assert fitted.model_.metadata.unlabelled
    assert fitted.predict_proba(data.inputs[:4]).shape == (4, 2)
