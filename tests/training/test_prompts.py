"""Features by prompts: which prompts are mined, and that each is read from the state after each sentence."""

from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import pytest

from gatewise.cell import step_forward
from gatewise.data.labelled import Labelled
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from gatewise.members.encoded_sequence import steps_of
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.architecture import language_model_shapes
from gatewise.network.distinct_tokens import PAD
from gatewise.training import unlabelled
from gatewise.training.pretrain import pretrain
from gatewise.training.pretrained import Pretrained
from gatewise.training.prompts import PROMPTS, TOKENS, mine_prompts, prompted_features, prompted_vectors
from gatewise.training.recipes import recipe
from gatewise.training.run_recipe import match_pretrained
from gatewise.training.training_data import TrainingData, prepare
from gatewise.training.unlabelled import lsa_of, stacked_predictions
from gatewise.types import Array
from tests.training.callbacks import Recorder, run_of
from tests.training.texts import LANGUAGE_MODEL, made_reviews

DOT, MARK, UNKNOWN = 2, 3, 1
SIZE, DIM, UNITS = 12, 4, 5


def sequence(*tokens: int) -> Array:
    return np.array(tokens, dtype=np.int32)


def test_the_most_frequent_openings_and_endings_are_mined() -> None:
    often, seldom = [5, 6, 7], [8, 9, 10]
    texts = [sequence(9, 9, *often, DOT, *often, DOT), sequence(4, *often, MARK, MARK, *seldom, DOT, *often, DOT)]
    found = mine_prompts(texts, [DOT, MARK], [UNKNOWN], SIZE)
    assert found is not None
    assert found["forward"].tolist() == [often, seldom]
    assert found["backward"].tolist() == [[6, 7, DOT], [9, 10, DOT]]


@pytest.mark.parametrize("wrong", [UNKNOWN, SIZE, DOT])
def test_a_prompt_has_no_unknown_word_and_no_mark_inside(wrong: int) -> None:
    texts = [sequence(4, 5, wrong, 5, DOT, 5, wrong, 5, DOT, 6)] * 3 + [sequence(7, 8, 9, DOT, 7, 8, 9, DOT)]
    found = mine_prompts(texts, [DOT, MARK], [UNKNOWN], SIZE)
    assert found is not None
    assert all(wrong not in one[:2] for prompts in found.values() for one in prompts.tolist())
    assert found["forward"].tolist() == [[7, 8, 9]]


def test_texts_without_two_sentences_have_no_prompts() -> None:
    """A prompt does not cross from one text to the next."""
    assert mine_prompts([sequence(4, 5, 6, 7), sequence()], [DOT], [], SIZE) is None
    assert mine_prompts([sequence(4, 5, 6, DOT), sequence(7, 8, 9, 7)], [DOT], [], SIZE) is None
    assert mine_prompts([sequence(4, 5, 6, 7)], [], [], SIZE) is None


def states_after(parameters: dict[str, Array], direction: str, tokens: Any, h: Array, c: Array) -> tuple[Array, Array]:
    """By the cell, token by token, in the direction's order."""
    weights = [parameters[f"lstm.0.{direction}.{name}"] for name in ("weight_ih", "weight_hh", "bias")]
    for token in tokens if direction == "forward" else tokens[::-1]:
        x = parameters["embedding.weight"][token]
        found = step_forward((x @ weights[0].T + weights[2])[None], h[None], c[None], weights[1])
        h, c = found.h[0], found.c[0]
    return h, c


@pytest.mark.parametrize("kernel", [Reference(), Native()], ids=["reference", "native"])
def test_each_prompt_follows_each_sentence(kernel: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = language_model_shapes(SIZE, DIM, UNITS)
    parameters = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    sentences = [[[4, 5, DOT], [6, 7, 8, MARK, DOT], [9, 10]], [[4, 5, 6]], [[11, 7, DOT], [8, DOT]], [[DOT]]]
    prompts = {name: rng.integers(4, SIZE, (PROMPTS, TOKENS)).astype(np.int32) for name in ("backward", "forward")}
    texts = [sequence(*chain(*one)) for one in sentences]
    found = prompted_features(parameters, texts, prompts, [DOT, MARK], kernel)
    zero, expected = np.zeros(UNITS, dtype=np.float32), []
    for one in sentences:
        row = []
        for direction in ("forward", "backward"):
            decoder = parameters[f"decoder.{direction}.weight"]
            for prompt in prompts[direction]:
                read = [one[: n + 1] if direction == "forward" else one[n:] for n in range(len(one))]
                states = [states_after(parameters, direction, [*chain(*part)], zero, zero) for part in read]
                after = [states_after(parameters, direction, prompt, *state)[0] for state in states]
                row.append(np.mean(after, axis=0) @ decoder.T)
        expected.append(np.concatenate(row))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    one_by_one = [prompted_features(parameters, [text], prompts, [DOT, MARK], kernel)[0] for text in texts]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-5, atol=1e-6)
    of_empty, of_pad = (prompted_features(parameters, [sequence(*s)], prompts, [DOT], kernel) for s in ([], [PAD]))
    np.testing.assert_array_equal(of_empty, of_pad)


def with_sentences(n: int, seed: int) -> Labelled:
    """Each text is two made reviews of its class; the second one begins with "it is a" and ends with "this film"."""
    one, two = made_reviews(2 * n, seed), made_reviews(2 * n, seed + 1)
    of_class = [[[data.inputs[i] for i in np.flatnonzero(data.labels == k)] for k in (0, 1)] for data in (one, two)]
    labels = np.arange(n) % 2
    rows = [(of_class[0][k][i // 2], of_class[1][k][i // 2]) for i, k in enumerate(labels)]
    return replace(one.take(np.arange(n)), inputs=[f"{a}. it is a {b} this film." for a, b in rows], labels=labels)


@cache
def language_model() -> PretrainedLM:
    """A small language model of such texts."""
    return pretrain(list(map(str, with_sentences(300, 50).inputs)), recipe=LANGUAGE_MODEL, seed=4)


def ready() -> tuple[TrainingData, Pretrained]:
    start = Pretrained.of(language_model())
    return prepare(
        with_sentences(80, 3), match_pretrained(recipe("few-shot", batch_size=16), start), 0, start.preprocessor
    ), start


def test_stacking_has_a_classifier_on_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the training part and the query texts, behind all training rows."""
    (data, start), read = ready(), []

    def recorded(data: TrainingData, texts: Any, rows: Any, run: Any) -> Any:
        read.extend([texts[row].tolist() for row in rows])
        return prompted_vectors(data, texts, rows, run)

    monkeypatch.setattr(unlabelled, "prompted_vectors", recorded)
    fresh = steps_of(data.preprocessor.encode_batch(with_sentences(200, 9).inputs))
    recorder = Recorder()
    run = replace(run_of(recorder), pretrained=start)
    found = stacked_predictions(data, fresh, lsa_of(data, fresh, run_of()), np.arange(1, 200), run)
    assert (found.argmax(axis=1) == np.arange(1, 200) % 2).mean() > 0.9
    assert read == [s.tolist() for s in [*data.full_steps(data.train), *fresh[1:]]]
    assert recorder.messages[0].startswith("prompts of the language model: 'it is a', 'this film .'")
    assert ", prompts x " in recorder.messages[1]


def test_the_vectors_of_prompts_are_those_of_the_rows() -> None:
    """Without LSTMs, and without sentences, there are none."""
    data, start = ready()
    texts, rows = data.full_steps(data.train), np.array([3, 0, 7])
    found = prompted_vectors(data, texts, rows, replace(run_of(), pretrained=start))
    assert found is not None
    others = np.setdiff1d(np.arange(len(texts)), rows)
    assert found[rows].any(axis=1).all()
    for row in rows:
        alone = prompted_vectors(data, texts, np.array([row]), replace(run_of(), pretrained=start))
        assert alone is not None
        np.testing.assert_allclose(alone[row], found[row], rtol=1e-4, atol=1e-6)
    assert not found[others].any()
    embeddings = {name: one for name, one in start.parameters.items() if "lstm" not in name}
    for other in (None, replace(start, parameters=embeddings)):
        assert prompted_vectors(data, texts, rows, replace(run_of(), pretrained=other)) is None
    assert prompted_vectors(data, [np.array([5, 6, 7])], rows[:0], replace(run_of(), pretrained=start)) is None


def test_a_word_that_the_language_model_lacks_is_the_unknown_one() -> None:
    data, start = ready()
    run = replace(run_of(), pretrained=start)
    lacking, unknown = (
        prompted_vectors(
            data, [*data.full_steps(data.train), np.array([5, token, 6])], np.array([0, len(data.train)]), run
        )
        for token in (10**6, data.preprocessor.unknown)
    )
    assert lacking is not None
    assert lacking[-1].any()
    np.testing.assert_array_equal(lacking, unknown)
