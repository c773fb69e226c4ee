"""An example runs the network once, whatever reads it: methods, terminal, HTML and page."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from gatewise.explain import METHODS, Clamp
from gatewise.explain.render.html import report_page
from gatewise.explain.render.terminal import explanation_report
from gatewise.members.lstm import LSTM
from gatewise.model.model import Model
from gatewise.network.ops import Ops
from gatewise.serve.view.view import View
from tests.serve.view.test_view import MODELS, TEXT, given

ONE_DIRECTION, BOTH = ["pads", "cut", "n-grams, cut", "series"], "both ways, two layers"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, model: Model) -> Iterator[dict[str, int]]:
    """How often the kernel runs a recurrence over steps, and how often a text is tokenised."""
    calls = {"forward": 0, "steps": 0, "encode": 0}
    lstms = Ops.lstms
    encoder: Any = getattr(model.preprocessor, "encoding", model.preprocessor)  # of texts, or of series
    methods = ("encode", "encode_batch", "tokenize") if encoder is not model.preprocessor else ("encoded",)

    def counting_lstms(self: Ops, given: Any, positions: Any = None) -> Any:
        read = [call for name, call in given if not name.endswith(".pads")]
        calls["forward"] += len(read)
        calls["steps"] += sum(int(call.lengths.sum()) for call in read)
        return lstms(self, given)

    def counting(method: Any) -> Any:
        def run(self: Any, inputs: Any) -> Any:
            calls["encode"] += 1
            return method(self, inputs)

        return run

    with monkeypatch.context() as patched:
        patched.setattr(Ops, "lstms", counting_lstms)
        for name in methods:
            patched.setattr(type(encoder), name, counting(getattr(type(encoder), name)))
        yield calls


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*ONE_DIRECTION, BOTH])
def test_one_forward_pass_for_explanation_and_trace(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two directions add the prefixes, and leave-one-out the empty sequence and the edits, for series also of channels.
    Integrated gradients do not run through Ops.lstms alone.
    """
    model = MODELS[name]
    with counted(monkeypatch, model) as calls:
        example = model.trace(given(name))
        explanation = model.explain(example, method)
        explanation_report(explanation, example)  # in the terminal
        report_page(explanation, example)
        example._repr_html_()
    passes = 1 + (name == BOTH) + (method == "leave-one-out") * (2 + (name == "series"))
    assert calls["forward"] == passes * len(list(model.architecture.lstms()))
    assert (calls["steps"] == len(example)) == (passes == 1)
    assert calls["encode"] == 1


@pytest.mark.parametrize("name", ONE_DIRECTION)
def test_the_page_runs_forward_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS[name]
    item = {"series": given(name).tolist()} if name == "series" else {"text": TEXT}
    want = ["prediction", "prefix", "attribution", "units", "unit:top"]
    want += [f"heatmap:{part}" for part in "ifgoch"]
    with counted(monkeypatch, model) as calls:
        View(model).explain({**item, "include": want, "method": "cell-decomposition"})
    assert calls["forward"] == calls["encode"] == 1


def test_an_intervention_runs_the_change_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["pads"]
    with counted(monkeypatch, model) as calls:
        example = model.trace(TEXT)
        model.explain(example, "cell-decomposition")
        found = model.intervene(example, [Clamp("f", 1.0, 3)])
        found.as_dict()
    assert found.before is example
    assert calls["forward"] == 2
    assert calls["encode"] == 1


def test_two_threads_compute_their_examples_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = Barrier(2, timeout=120)

    activations = LSTM.activations

    def meet(*arguments: Any) -> Any:
        barrier.wait()  # broken if one thread waits for the other
        return activations(*arguments)

    monkeypatch.setattr(LSTM, "activations", meet)
    model = MODELS["n-grams, cut"]
    examples = [model.trace(TEXT) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda example: example.lstm_logits, examples)
    np.testing.assert_array_equal(first, second)
