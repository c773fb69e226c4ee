"""The scikit-learn estimators in clone, pipelines, searches and pickling."""

import inspect
import io
import pickle
from dataclasses import replace
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import steps_of
from gatewise.sklearn import (
    LSTMSeriesClassifier,
    LSTMSeriesRegressor,
    LSTMTextClassifier,
    LSTMTextEncoder,
    LSTMTextRegressor,
)
from gatewise.training import Recipe, recipe
from gatewise.training.fields import fields_of, values_of
from gatewise.training.pretrain import pretrain
from gatewise.training.run_recipe import check_settings
from gatewise.training.train import train
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder
from tests.training.texts import LANGUAGE_MODEL, language_model, made_reviews, review_texts

TEXT_SETTINGS: dict[str, Any] = {"units": 10, "embedding_dim": 8, "epochs": 4, "batch_size": 32}
TEXT_SETTINGS |= {"learning_rate": 0.03, "random_state": 3, "order": 1}
SMALL = LSTMTextClassifier(**TEXT_SETTINGS)
SERIES_SETTINGS: dict[str, Any] = {"units": 10, "epochs": 8, "batch_size": 16, "learning_rate": 0.02}
SERIES_SETTINGS |= {"random_state": 0, "features": 0, "folds": 0}
SERIES = LSTMSeriesClassifier(**SERIES_SETTINGS)
DATA = made_reviews(240, 5)
NAMES = np.array(["bad", "good"])[DATA.labels]


@cache
def fitted() -> LSTMTextClassifier:
    return clone(SMALL).fit(DATA.inputs, NAMES)


def test_fit_predict_score_and_the_same_again() -> None:
    one, two = fitted(), clone(SMALL).fit(DATA.inputs, NAMES)
    fresh = made_reviews(100, 6)
    assert one.score(fresh.inputs, np.array(["bad", "good"])[fresh.labels]) > 0.85
    np.testing.assert_array_equal(one.predict_proba(fresh.inputs), two.predict_proba(fresh.inputs))
    assert one.classes_.tolist() == ["bad", "good"]
    assert one.n_iter_ == 4
    found: list[str] = []

    class Watched(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.append(f"{module}.{name}")
            return super().find_class(module, name)

    again = Watched(io.BytesIO(pickle.dumps(one))).load()
    assert [name for name in found if name.startswith("gatewise")] == ["gatewise.sklearn.LSTMTextClassifier"]
    np.testing.assert_array_equal(again.predict_proba(fresh.inputs), one.predict_proba(fresh.inputs))


def test_in_a_pipeline_and_a_search() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    grid = {"lstmtextclassifier__units": [10, 12], "lstmtextclassifier__pooling": ["mean"]}
    search = GridSearchCV(make_pipeline(lower, clone(SMALL)), grid, cv=2).fit(DATA.inputs, NAMES)
    assert search.best_score_ > 0.65  # 0.5 is chance, 0.03 its standard error
    arch = search.best_estimator_[-1].model_.architecture
    assert arch.top.units in (10, 12)
    assert arch.pooling == "mean"


@pytest.mark.parametrize("labels", [[0, 1], [1.0, -2.0], [True, False]])
def test_labels_come_back_as_they_were(labels: list[object]) -> None:
    y = np.array(labels)[DATA.labels]
    predicted = clone(SMALL).set_params(epochs=2).fit(DATA.inputs, y).predict(DATA.inputs[:20])
    assert predicted.dtype == y.dtype
    assert clone(SMALL).set_params(epochs=1, random_state=np.random.RandomState(4)).fit(DATA.inputs, y).n_iter_ == 1
    assert set(predicted.tolist()) <= set(y.tolist())


def waves(n: int, seed: int, steps: int = 30) -> tuple[Any, Any]:
    """n noisy sine waves (n, steps) of two frequencies, and their class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    X = np.sin(np.arange(steps) * (0.3 + 0.5 * y[:, None])) + rng.normal(0, 0.2, (n, steps))
    return X, y


def test_series_of_one_channel_are_a_matrix_or_any_other_form() -> None:
    (X, y), (fresh, truth) = waves(120, 1), waves(60, 2)
    model = clone(SERIES).fit(X, y)
    assert model.score(fresh, truth) > 0.85
    assert model.n_features_in_ == 30
    found = model.predict_proba(fresh)
    np.testing.assert_allclose(model.predict_proba(fresh[:, :, None]), found, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba([row[:, None] for row in fresh]), found, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(fresh.tolist()), found, atol=1e-6)
    assert len(model.predict([row[:n, None] for row, n in zip(fresh, range(5, 65), strict=True)])) == 60
    with pytest.raises(ValueError, match="X has 29 features, but LSTMSeriesClassifier is expecting 30"):
        model.predict(fresh[:, 1:])


def test_the_layout_of_aeon() -> None:
    """aeon's (n, channels, time) against (n, time, channels): `layout=`, and a refusal when ambiguous."""
    X, y = waves(64, 5, 20)
    given: dict[str, Any] = {"recipe": "series", "features": 0, "folds": 0, "epochs": 1, "units": 4}
    both = np.stack([X, np.roll(X, 1, axis=0)], axis=1)  # (n, 2 channels, 20 steps)
    time_first = both.swapaxes(1, 2)
    assert_refused(r"may have channels first: pass layout=", train, both, y, **given)
    model, same = train(time_first, y, **given), train(both, y, layout="channels-first", **given)
    assert model.preprocessor.channels == 2
    want = model.predict_proba(time_first)
    np.testing.assert_array_equal(same.predict_proba(both, layout="channels-first"), want)
    assert_refused("seems to have channels first", model.predict, both)
    assert_refused("layout is for series", train, DATA.inputs, NAMES, layout="time-first")
    estimator = LSTMSeriesClassifier(**given, layout="channels-first", random_state=0).fit(both, y)
    np.testing.assert_array_equal(estimator.predict_proba(both), want)


def test_without_a_seed_one_is_drawn_and_recorded() -> None:
    """`seed=None` failed."""
    data, tiny = made_reviews(64, 21), {"epochs": 1, "units": 4, "embedding_dim": 4, "batch_size": 32}
    one, two = (train(data, seed=None, **tiny) for _ in range(2))
    assert one.metadata.seed != two.metadata.seed
    again = train(data, seed=one.metadata.seed, **tiny)
    np.testing.assert_array_equal(again.predict_proba(data.inputs), one.predict_proba(data.inputs))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="y must have one label for each of the 240 rows of X, got 239"):
        clone(SMALL).fit(DATA.inputs, NAMES[:-1])
    assert_refused("not one text", clone(SMALL).fit, "a text", ["x"])
    with pytest.raises(InputError, match="continuous: y looks like regression: use LSTMTextRegressor"):
        clone(SMALL).fit(DATA.inputs, np.linspace(0, 1, 240))
    with pytest.raises(TypeError, match="unexpected keyword argument 'warm_stat'"):
        LSTMTextClassifier(warm_stat=True)
    with pytest.raises(ValueError, match="Invalid parameter 'unit' for estimator LSTMTextClassifier"):
        LSTMTextClassifier().set_params(unit=8)


def test_parameters_are_checked_before_the_data() -> None:
    for parameters, message in (
        ({"units": 0}, "units must be"),
        ({"recipe": "quick"}, "no recipe is called 'quick'"),
        ({"order": 9}, "ngrams.order must be"),
    ):
        assert_refused(message, clone(SMALL).set_params(**parameters).fit, [object()], None)


ESTIMATORS = {
    LSTMTextClassifier: ("text", "classification"),
    LSTMTextRegressor: ("text", "regression"),
    LSTMSeriesClassifier: ("series", "classification"),
    LSTMSeriesRegressor: ("series", "regression"),
}


def changed(field: Any) -> Any:
    """A value of the field that no built-in recipe has."""
    if field.type is bool or field.choices:
        choices = field.choices or (False, True)
        return next(value for value in choices if value != values_of(recipe("series"))[field.name])
    return next(value for value in (17, 3, 0.317) if field.holds(value) and isinstance(value, field.type))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_parameters_are_the_fields_of_the_recipe(kind: Any) -> None:
    """The signature is that of `__init__` itself, with a type and the default None for each field that the data of the
    estimator can have; the others are refused in a run on such data.
    """
    signature = inspect.signature(kind.__init__)
    hints = get_type_hints(kind, include_extras=True)
    assert set(kind().get_params()) == set(signature.parameters) - {"self"}
    data_kind, task = ESTIMATORS[kind]
    for path, field in fields_of(Recipe).items():
        name = path.rpartition(".")[2]
        if name in signature.parameters:
            assert signature.parameters[name].default is None
            group, _, _ = path.rpartition(".")
            group_type = get_type_hints(Recipe)[group]
            assert hints[name] == get_type_hints(group_type, include_extras=True)[name] | None
            assert clone(kind(**{name: changed(field)})).get_params() == kind().get_params() | {name: changed(field)}
        else:
            base = recipe("fast" if data_kind == "text" else "series", **{path: changed(field)})
            with pytest.raises(InputError, match=f"{path} is for"):
                check_settings(base, data_kind, task)


def test_every_field_reaches_the_training() -> None:
    """Set one at a time, by `set_params` as a search does; None is the value of the recipe."""
    for kind in ESTIMATORS:
        base = recipe("fast" if ESTIMATORS[kind][0] == "text" else "series")
        for path, field in fields_of(Recipe).items():
            name = path.rpartition(".")[2]
            if name not in inspect.signature(kind).parameters:
                continue
            plan = kind(random_state=0).set_params(**{name: changed(field)})._plan()
            assert plan.changes == {path: changed(field)}
            found = values_of(recipe(base, **plan.changes))
            assert found[path] == changed(field)
        assert kind(random_state=0, units=None)._plan().changes == {}


def test_a_search_over_a_field_finds_the_better_value() -> None:
    """Without a step no unit learns, so the accuracy says which value was trained."""
    search = GridSearchCV(clone(SMALL).set_params(order=0), {"learning_rate": [1e-9, 0.03]}, cv=2)
    search.fit(DATA.inputs, NAMES)
    still, learnt = search.cv_results_["mean_test_score"]
    assert learnt > still + 0.2
    assert search.best_params_ == {"learning_rate": 0.03}
    assert repr(LSTMTextClassifier(order=2, units=8)) == "LSTMTextClassifier(order=2, units=8)"


def test_one_column_of_a_frame_and_a_column_transformer() -> None:
    frame = pd.DataFrame({"text": DATA.inputs, "stars": np.arange(240) % 7})
    short = clone(SMALL).set_params(epochs=1)
    model = clone(short).fit(frame[["text"]], NAMES)
    assert (model.n_features_in_, model.feature_names_in_.tolist()) == (1, ["text"])
    found = model.predict_proba(frame[["text"]])
    np.testing.assert_array_equal(found, clone(short).fit(DATA.inputs, NAMES).predict_proba(DATA.inputs))
    for same in (frame["text"], DATA.inputs, np.array(DATA.inputs)[:, None]):
        np.testing.assert_array_equal(model.predict_proba(same), found)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["text"]].rename(columns={"text": "review"}))
    assert_refused("a data frame with columns text, stars: pass one column", model.predict, frame)
    column = make_pipeline(ColumnTransformer([("text", "passthrough", ["text"])]), clone(short))
    np.testing.assert_array_equal(column.fit(frame, NAMES).predict_proba(frame), found)


def test_groups_stay_together_and_cross_validation_takes_them() -> None:
    groups = np.arange(240) // 6
    scores = cross_val_score(
        clone(SMALL).set_params(epochs=2), DATA.inputs, NAMES, groups=groups, cv=GroupKFold(2), scoring="roc_auc"
    )
    assert scores.shape == (2,)
    model = clone(SMALL).set_params(epochs=1).fit(DATA.inputs, NAMES, groups=groups)
    assert model.model_.metadata.n_validation % 6 == 0
    with pytest.raises(ValueError, match="groups are for a split by group, and this one is by row"):
        clone(SMALL).set_params(epochs=1, split="row").fit(DATA.inputs, NAMES, groups=groups)


def test_labels_that_the_model_does_not_know_are_wrong_in_the_score() -> None:
    model = fitted()
    assert model.score(DATA.inputs[:4], ["bad", "good", "other", "none"]) <= 0.5
    assert (model.predict_log_proba(DATA.inputs[:4]) == np.log(model.predict_proba(DATA.inputs[:4]))).all()


def test_rows_of_weight_0_are_absent() -> None:
    half = np.where(np.arange(240) < 120, 0.0, 1.0)
    one = clone(SMALL).fit(DATA.inputs, NAMES, sample_weight=half)
    two = clone(SMALL).fit(DATA.inputs[120:], NAMES[120:])
    np.testing.assert_array_equal(one.predict_proba(DATA.inputs), two.predict_proba(DATA.inputs))
    for wrong in (np.ones(239), np.ones((240, 1)), -half, half * np.nan, half * 0):
        assert_refused("sample_weight", clone(SMALL).fit, DATA.inputs, NAMES, sample_weight=wrong)


@pytest.mark.parametrize("class_weight", ["balanced", {"good": 3.0}])
def test_class_weights_mean_the_same_as_in_training(class_weight: str | dict[str, float]) -> None:
    settings = {name: value for name, value in TEXT_SETTINGS.items() if name != "random_state"}
    trained = train(DATA.inputs, NAMES, class_weight=class_weight, seed=3, **settings)
    fitted = clone(SMALL).set_params(class_weight=class_weight).fit(DATA.inputs, NAMES)
    assert fitted.model_.target.thresholds == trained.target.thresholds != ()
    np.testing.assert_array_equal(fitted.predict_proba(DATA.inputs), trained.predict_proba(DATA.inputs))


def several_labels(n: int, seed: int) -> tuple[list[str], list[set[str]]]:
    """Texts whose words say each of three labels, and these labels."""
    rng = np.random.default_rng(seed)
    labels = [{name for name in ("dull", "long", "new") if rng.random() < 0.4} for _ in range(n)]
    texts = [" ".join([*rng.permutation(sorted(row) * 2), *rng.choice(["a", "film", "is"], 6)]) for row in labels]
    return texts, labels


def test_several_labels_per_row_as_sets_and_as_a_matrix() -> None:
    X, y = several_labels(200, 8)
    fresh, truth = several_labels(60, 9)
    model = clone(SMALL).fit(X, y)
    assert model.classes_.tolist() == ["dull", "long", "new"]
    assert model.score(fresh, truth) > 0.7  # 0.26 is chance
    assert model.score(fresh, [list(row) for row in truth]) == model.score(fresh, truth)
    matrix = np.array([[name in row for name in model.classes_] for row in y]).astype(np.int32)
    other = clone(SMALL).fit(X, matrix)
    assert other.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(other.predict_proba(fresh), model.predict_proba(fresh))
    found = other.predict(fresh)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, other.decision_function(fresh) >= 0)
    want = [set(np.array(model.classes_)[row == 1]) for row in found]
    assert [set(row) for row in model.predict(fresh)] == want
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(matrix)
    np.testing.assert_array_equal(clone(SMALL).fit(X, sparse).predict(fresh), found)


def test_numbers_of_texts_and_of_series() -> None:
    X, y = waves(120, 4)
    numbers = 100 + 10 * y + np.random.default_rng(1).normal(0, 1, 120)
    model = LSTMSeriesRegressor(**SERIES_SETTINGS | {"epochs": 12})
    assert model.fit(X, numbers).score(X, numbers) > 0.5
    both = np.stack([numbers, -numbers], axis=1)
    assert clone(model).set_params(epochs=1).fit(X, both).predict(X).shape == (120, 2)
    assert clone(model).set_params(epochs=1).fit(X, numbers[:, None]).predict(X).shape == (120,)
    length = np.array([text.count("word") for text in DATA.inputs]) * 1.5
    texts = LSTMTextRegressor(**TEXT_SETTINGS).fit(DATA.inputs, length)
    assert texts.score(DATA.inputs, length) > 0.2
    assert_refused("regression needs finite numbers", clone(texts).fit, DATA.inputs, NAMES)


def test_validation_data_of_their_own() -> None:
    extra = made_reviews(50, 77)
    names = np.array(["bad", "good"])[extra.labels]
    model = clone(SMALL).set_params(epochs=2).fit(DATA.inputs, NAMES, validation=(extra.inputs, names))
    assert (model.model_.metadata.n_train, model.model_.metadata.n_validation) == (240, 50)
    assert_refused(r"validation must be \(X, y\)", clone(SMALL).fit, DATA.inputs, NAMES, validation=extra.inputs)
    with pytest.raises(InputError, match="no class 'other'"):
        clone(SMALL).fit(DATA.inputs, NAMES, validation=(extra.inputs[:2], ["bad", "other"]))


@pytest.mark.parametrize("kind", ["texts", "series"])
def test_a_warm_start_continues_from_the_fitted_weights(kind: str) -> None:
    X, y = (DATA.inputs, NAMES) if kind == "texts" else waves(120, 6)
    # No step moves the weights far, so the second fit ends where it began.
    small = {"learning_rate": 1e-7, "epochs": 1} | ({"order": 0} if kind == "texts" else {})
    estimator = clone(SMALL if kind == "texts" else SERIES).set_params(warm_start=True)
    first = estimator.fit(X, y).model_
    second = estimator.set_params(**small).fit(X, y).model_
    cold = clone(estimator).fit(X, y).model_
    name = "lstm.0.forward.weight_hh"
    np.testing.assert_allclose(second.parameters[name], first.parameters[name], atol=1e-3)
    assert np.abs(cold.parameters[name] - first.parameters[name]).max() > 1e-2


def test_callbacks_and_progress(capfd: pytest.CaptureFixture[str]) -> None:
    both = [Recorder(), Recorder()]
    clone(SMALL).set_params(epochs=2, verbose=0).set_params(callbacks=both).fit(DATA.inputs, NAMES)
    assert [[row.epoch for row in one.epochs] for one in both] == [[1, 2], [1, 2]]
    quiet = capfd.readouterr()
    assert quiet.out + quiet.err == ""
    clone(SMALL).set_params(epochs=1, verbose=2).fit(DATA.inputs, NAMES)
    loud = capfd.readouterr()
    assert "epoch" in loud.out + loud.err


def test_from_a_base_with_texts_without_labels() -> None:
    data, given = made_reviews(80, 3), {"pretrained": language_model(), "unlabelled": review_texts(40, 40)}
    model = LSTMTextClassifier(**given, epochs=1, order=1, random_state=2)
    fitted = clone(model).fit(data.inputs, data.labels)
    assert fitted.model_.metadata.recipe == "few-shot"
    assert fitted.model_.metadata.unlabelled
    assert fitted.predict_proba(data.inputs[:4]).shape == (4, 2)
    ruled = clone(model.set_params(rules=[("fine", 1), ("dull", 0)])).fit(data.inputs, data.labels).model_
    assert [report.rule for report in ruled.metadata.rules] == ["fine -> 1", "dull -> 0"]


def test_an_encoder_makes_features_of_texts(tmp_path: Any) -> None:
    """The pooled states of a classifier or of a language model, from it or its folder, in a table of columns."""
    texts, classifier = review_texts(5, 40), fitted().model_
    features = classifier.transform(texts)
    lstm = classifier.ensemble.lstm
    weight, bias = lstm.parameters["dense.weight"], lstm.parameters["dense.bias"]
    logits = lstm.logits(steps_of(classifier.preprocessor.encode_batch(texts)))
    np.testing.assert_allclose(features @ weight.T + bias, logits, atol=1e-5)
    frame = pd.DataFrame({"text": texts, "n": np.arange(5.0)})
    for model in (classifier, language_model()):
        model.save(tmp_path / type(model).__name__)
        for pretrained in (model, tmp_path / type(model).__name__):
            encoder = LSTMTextEncoder(pretrained)
            for column in ("text", ["text"]):
                columns = ColumnTransformer([("a", clone(encoder), column), ("b", "passthrough", ["n"])])
                found = columns.fit_transform(frame)
                assert found.shape == (5, 41)
                np.testing.assert_allclose(found[:, :40], encoder.fit(frame["text"]).transform(texts), atol=1e-6)
            assert len(encoder.get_feature_names_out()) == 40
    np.testing.assert_allclose(LSTMTextEncoder(classifier).fit_transform(texts), features, atol=1e-6)


def test_what_cannot_encode_texts() -> None:
    embeddings = pretrain(review_texts(60, 4), recipe=replace(LANGUAGE_MODEL, units=0, epochs=0.1))
    series = clone(SERIES).set_params(epochs=1).fit(*waves(20, 1)).model_
    for pretrained, message in ((embeddings, "embeddings only"), (series, "is for series"), (3, "must be a model")):
        assert_refused(message, LSTMTextEncoder(pretrained).fit, ["a text"])
    assert_refused("row 1", LSTMTextEncoder().fit, ["a text", None])
    with pytest.raises(NotFittedError):
        LSTMTextEncoder().transform(["a text"])
