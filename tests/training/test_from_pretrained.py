"""Training from a pretrained language model, with and without unlabelled texts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import DataWarning, InputError, TrainingError
from gatewise.members.encoded_sequence import steps_of
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.architecture import Architecture, Hidden, Layer
from gatewise.target import target_of
from gatewise.text import TokenEncoding
from gatewise.training import Interrupted, PretrainRecipe
from gatewise.training.members import lstm as module
from gatewise.training.pretrain import pretrain
from gatewise.training.pretrained import Pretrained
from gatewise.training.train import train
from tests.explain.random_net import parameters_of
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder
from tests.training.texts import LANGUAGE_MODEL, language_model, made_corpus, made_reviews, review_texts

OPTIONS: dict[str, Any] = {"recipe": "finetune", "epochs": 2, "min_steps": 40, "batch_size": 16, "ngrams__order": 2}
OPTIONS |= {"learning_rate": 0.02, "student_epochs": 2}
STILL: dict[str, Any] = {"learning_rate": 1e-9, "epochs": 1, "min_steps": 0, "ngrams__order": 0, "recipe": "finetune"}


@pytest.fixture
def pretrained() -> PretrainedLM:
    return language_model()


@pytest.fixture(scope="module")
def classifier() -> Model:
    small: dict[str, Any] = {"units": 9, "embedding_dim": 7, "vocab_size": 80, "ngrams__scaling": "nb"}
    return train(made_reviews(400, 3), recipe="fast", seed=3, epochs=4, **small)


def test_it_starts_from_the_pretrained_weights(pretrained: PretrainedLM, classifier: Model) -> None:
    """The network has their shape whatever the recipe says; vocabulary and weights are theirs."""
    starts = {"language model": pretrained, "classifier (fast; negative, positive): ": classifier}
    for (said, start), encoding in zip(starts.items(), (pretrained.encoding, classifier.preprocessor), strict=True):
        model = train(made_reviews(120, 5), pretrained=start, **STILL)
        assert model.metadata.recipe == "finetune"
        assert model.metadata.pretrained.startswith(said)
        assert model.preprocessor.to_files() == encoding.to_files()
        for name in model.parameters.keys() & start.parameters.keys() - {"dense.weight", "dense.bias"}:
            np.testing.assert_allclose(model.parameters[name], start.parameters[name], atol=1e-6)


def test_the_dense_layer_starts_as_a_linear_probe(pretrained: PretrainedLM) -> None:
    """With a learning rate near zero the dense layer stays as it starts: linear probe or random."""
    data = made_reviews(400, 3)
    fitted, drawn = (
        train(data, pretrained=pretrained, probe_l2=head, **STILL).evaluate(data).accuracy for head in (1.0, 0.0)
    )
    assert fitted > drawn + 0.1


def test_another_pretrained_model_or_other_texts_are_not_resumed(pretrained: PretrainedLM, tmp_path: Path) -> None:
    data, more = made_reviews(200, 3), review_texts(60, 41)
    with pytest.raises(Interrupted):
        train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", callbacks=Recorder(70), **OPTIONS)
    with pytest.raises(TrainingError, match="holds another run: it differs in data"):
        train(data, pretrained=pretrained, unlabelled=more[1:], out=tmp_path / "m", resume=True, **OPTIONS)


def test_min_steps_adds_epochs(pretrained: PretrainedLM) -> None:
    model = train(made_reviews(40, 8), pretrained=pretrained, **(OPTIONS | {"ngrams__order": 0, "student_epochs": 0}))
    assert model.metadata.epochs == 14  # 36 to train on are 3 batches of 16


def test_pretrained_embeddings_leave_the_units_free() -> None:
    recipe = PretrainRecipe("v", embedding_dim=12, units=0, vocab_size=100, epochs=4, batch_size=8, bptt=11)
    vectors = pretrain(made_corpus(300, 5), recipe=recipe)
    names = {"embedding.weight", "decoder.bias", "decoder.forward.weight", "decoder.backward.weight"}
    assert set(vectors.parameters) == names
    assert vectors.metadata.perplexity["forward"] < 50
    model = train(made_reviews(100, 3), pretrained=vectors, units=7, epochs=1, ngrams__order=0)
    assert (model.architecture.top.units, model.architecture.embedding_dim) == (7, 12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"units": 12}, "units 10"),
        ({"recipe": "tutorial"}, "model has lstm.padding none; .* recipe tutorial with lstm.padding pre"),
        ({"bidirectional": False}, "bidirectional True; it cannot start a network .* with lstm.bidirectional False"),
        ({"gate": "binary"}, "sigmoid"),
        ({"vocab_size": 80}, "the pretrained model has text.vocab_size 72; .* with text.vocab_size 80"),
        ({"tokenization": "subwords"}, "the pretrained model has text.tokenization words; .* subwords"),
        ({"unlabelled": ["a"], "student_epochs": 0, "lsa_components": 0}, "not use unlabelled texts; finetune, .* do"),
    ],
)
def test_what_a_pretrained_model_cannot_start(pretrained: PretrainedLM, options: dict[str, Any], says: str) -> None:
    assert_refused(says, train, made_reviews(60, 3), pretrained=pretrained, **options)


def test_labelled_texts_are_left_out_of_the_unlabelled_ones(pretrained: PretrainedLM) -> None:
    """The validation set above all: it chooses the epoch and the ensemble weights, so nothing may train on it."""
    data = made_reviews(120, 3)
    texts = [str(text) for text in data.inputs]
    fresh = review_texts(30, 77)
    mixed = train(data, pretrained=pretrained, unlabelled=[*texts, *fresh, texts[0].upper()], **OPTIONS)
    alone = train(data, pretrained=pretrained, unlabelled=fresh, **OPTIONS)
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(array, mixed.parameters[name])
    assert "30 of them not among the labelled texts" in mixed.metadata.unlabelled
    assert_refused("every unlabelled text", train, data, pretrained=pretrained, unlabelled=texts[:50], **OPTIONS)


OTHERS = {
    "sizes": Architecture("tokens", 1, 6, (Layer(7, "both"), Layer(4)), "mean", (Hidden(5, "relu"), Hidden(3, "tanh"))),
    "step": Architecture("tokens", 1, 6, (Layer(7, "both"),), "step"),
    "pads": Architecture(
        "tokens", 1, 6, (Layer(7), Layer(4)), hidden=(Hidden(5, "gelu"),), max_length=40, padding="pre"
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("recipe", ["finetune", "frozen"])
def test_layers_that_no_recipe_names_are_kept(name: str, recipe: str) -> None:
    data = made_reviews(120, 3)
    encoding = TokenEncoding.fit(list(data.inputs), vocab_size=60, min_count=1)
    arch = replace(OTHERS[name], vocab_size=encoding.vocab_size)
    start = Model.of_network(arch, parameters_of(arch, 3), TextPreprocessor(encoding), ("a", "b"))
    how: dict[str, Any] = {"epochs": 1, "min_steps": 0} if recipe == "finetune" else {}
    model = train(data, pretrained=start, recipe=recipe, ngrams__order=0, **how)
    shape = model.architecture
    assert (shape.layers, shape.hidden, shape.pooling) == (arch.layers, arch.hidden, arch.pooling)
    changed = [part for part in start.parameters if not np.array_equal(start.parameters[part], model.parameters[part])]
    if recipe == "frozen":
        assert all(part.startswith(("dense", "embedding")) for part in changed)
    assert "dense.weight" in changed
    with pytest.raises(InputError, match=r"lstm\.units cannot be changed|lstm\.units 7; it cannot start"):
        train(data, pretrained=start, recipe=recipe, units=9)


@pytest.mark.parametrize("names", [("a", "b"), ("positive", "negative")])
def test_what_a_classifier_knows_needs_no_names(classifier: Model, names: tuple[str, ...]) -> None:
    """Classes of other names, or in the reversed order: with 24 rows the network is right where a fresh one is not,
    because the dense layer is mapped to the new classes; so are the n-grams.
    """
    data, fresh = (replace(made_reviews(n, seed), target=target_of(names)) for n, seed in ((24, 50), (300, 51)))
    options: dict[str, Any] = {"seed": 1}
    network = train(data, pretrained=classifier, ngrams__order=0, **options)
    alone = train(data, recipe="fast", units=9, embedding_dim=7, ngrams__order=0, **options)
    assert network.evaluate(fresh).accuracy > 0.85 > 0.7 > alone.evaluate(fresh).accuracy
    model = train(data, pretrained=classifier, recipe="few-shot", **options)
    assert np.isin(classifier.ensemble.get("ngrams").keys, model.ensemble.get("ngrams").keys).all()
    assert model.evaluate(fresh).accuracy > 0.85


def test_a_classifier_that_was_trained_on_the_same_data_is_named(classifier: Model) -> None:
    data, held = made_reviews(400, 3), made_reviews(40, 8)
    options: dict[str, Any] = {"pretrained": classifier, "recipe": "finetune", "epochs": 1, "min_steps": 0}
    with pytest.warns(DataWarning, match="the pretrained model was trained on these data"):
        train(data, **options)
    train(data, validation=held, **options)  # no warning: these rows are new


def test_a_classifier_of_two_classes_starts_one_of_three(classifier: Model) -> None:
    model = train(made_reviews(300, 8, ("bad", "good", "odd")), pretrained=classifier, seed=2)
    assert model.classes == ("bad", "good", "odd")
    assert model.evaluate(made_reviews(200, 9, ("bad", "good", "odd"))).accuracy > 0.6


def test_the_tutorials_kind_of_classifier_and_series_start_too() -> None:
    """The preprocessor, the padding and the direction are the classifier's."""
    small: dict[str, Any] = {"units": 5, "epochs": 1, "batch_size": 16}
    keras = train(made_reviews(120, 5), recipe="tutorial", max_length=50, embedding_dim=6, **small)
    model = train(made_reviews(120, 6), pretrained=keras, seed=1)
    assert (model.architecture.padding, model.architecture.max_length, model.architecture.top.units) == ("pre", 50, 5)
    rng = np.random.default_rng(5)
    series = [rng.normal(k % 2, 1, (int(rng.integers(4, 9)), 2)).astype(np.float32) for k in range(60)]
    labels = [str(k % 2) for k in range(60)]
    first = train(series, labels, recipe="fast", **small)
    second = train([s + 3 for s in series], labels, pretrained=first, recipe="fast", epochs=1)
    assert second.preprocessor == first.preprocessor
    with pytest.raises(InputError, match="the pretrained model is for texts, and these are series"):
        train(series, labels, pretrained=keras, recipe="fast")


def test_what_is_no_pretrained_model() -> None:
    with pytest.raises(InputError, match="pretrained must be a model, its folder or 'bundled', not int"):
        train(made_reviews(60, 3), pretrained=3)  # type: ignore[arg-type]
    assert Pretrained.of("bundled").summary.startswith("the bundled model (best; negative, positive): IMDB reviews")


def test_soft_labelled_rows_have_a_weight_where_validation_rows_have_one(pretrained: PretrainedLM) -> None:
    held = made_reviews(20, 9)
    held = replace(held, sample_weight=np.arange(1.0, 21.0))
    more = review_texts(40, 10)
    model = train(made_reviews(60, 8), validation=held, unlabelled=more, pretrained=pretrained, **OPTIONS)
    assert model.metadata.n_validation == 20


@pytest.mark.parametrize("start", ["language model", "classifier", "bundled"])
def test_frozen_layers_get_a_dense_layer_and_n_grams(
    pretrained: PretrainedLM, classifier: Model, start: str, tmp_path: Path
) -> None:
    """The layers and the words of the pretrained model stay. Words of the data that it does not know join them, for the
    n-grams, and are the unknown word to the LSTM.
    """
    data = made_reviews(150, 3)
    data = replace(data, inputs=[f"{text} zyzzyva" for text in data.inputs])
    of: Any = {"language model": pretrained, "classifier": classifier, "bundled": "bundled"}[start]
    recorder, given = Recorder(), {"recipe": "frozen"} if start == "bundled" else {"pretrained": of}
    model = train(data, callbacks=recorder, out=tmp_path / "m", seed=3, **given)
    assert (model.metadata.recipe, model.metadata.epochs) == ("frozen", 0)
    assert any(one.startswith("LSTM: ") and "frozen layers" in one for one in recorder.messages)
    assert "5-fold cross-validation" in model.metadata.validation
    known = Pretrained.of(of)
    for name, one in known.parameters.items():
        if name.startswith(("lstm.", "embedding.")):
            np.testing.assert_array_equal(model.parameters[name][: len(one)], one)
    [ids] = steps_of(model.preprocessor.encode_batch(["zyzzyva"]))
    assert ids[0] >= known.preprocessor.inputs.size
    unknown = known.preprocessor.unknown
    np.testing.assert_array_equal(*model.parameters["embedding.weight"][[ids[0], unknown]])
    fresh = made_reviews(100, 4)
    assert model.evaluate(fresh).accuracy > 0.85
    np.testing.assert_allclose(gw.load(tmp_path / "m").logits(fresh.inputs), model.logits(fresh.inputs), atol=1e-4)


@pytest.mark.parametrize("task", ["multilabel", "regression", "classification"])
def test_frozen_layers_of_every_task_and_with_a_validation_set(
    pretrained: PretrainedLM, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held out is never fitted: random labels are predicted as by chance."""
    rng, texts = np.random.default_rng(2), [str(text) for text in made_reviews(200, 3).inputs]
    labels: Any = rng.normal(50, 10, 200) if task == "regression" else rng.integers(0, 2, 200)
    if task == "multilabel":
        labels = [["a", "b"][int(one) :][:1] for one in labels]
    for validation, most in ((None, 20_000), (None, 120), ((texts[:40], labels[:40]), 20_000)):
        monkeypatch.setattr(module, "MAX_FROZEN_ROWS", most)
        given: dict[str, Any] = {"task": task, "validation": validation, "pretrained": pretrained, "recipe": "frozen"}
        rows = slice(40 if validation else 0, None)
        model = train(texts[rows], labels[rows], **given)
        last = model.metadata.evaluations[-1]
        if task == "regression":
            assert last.scores["R2"] < 0.1
        else:
            assert last.loss > 0.6 * np.log(2)
            assert model.predict(texts[:3]).shape == (3,)


def test_what_cannot_be_frozen() -> None:
    vectors = pretrain(review_texts(60, 40), recipe=replace(LANGUAGE_MODEL, units=0, epochs=0.1))
    assert_refused("embeddings only", train, made_reviews(60, 3), pretrained=vectors, recipe="frozen")
    with pytest.raises(InputError, match="per text, and these are series"):
        train([np.ones((4, 2)) * k for k in range(20)], [0, 1] * 10, recipe="frozen")
