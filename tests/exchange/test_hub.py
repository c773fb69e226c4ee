"""`push_to_hub` and `gw.load("hf://...")` against a local stand-in of the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

import gatewise as gw
from gatewise.errors import GatewiseError, InputError, ModelFileError
from gatewise.model.card import EvalResult
from tests.exchange.hub_server import Hub, hub_server
from tests.exchange.random_models import random_inputs, random_model

REPO = "someone/small-model"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as (found, url):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 120)  # a busy machine answers late
        monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
        monkeypatch.delenv("GATEWISE_OFFLINE", raising=False)
        yield found


def test_there_and_back(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = random_model(linear="ngrams")
    address = first.push_to_hub(REPO, private=True)
    assert re.fullmatch(rf"hf://{REPO}@[0-9a-f]{{40}}", address)
    assert hub.private[REPO]
    inputs = random_inputs(first)
    second = random_model(seed=7)
    assert second.push_to_hub(REPO) != address
    for name, model in ((f"hf://{REPO}", second), (f"hf://{REPO}@main", second), (address, first)):
        np.testing.assert_array_equal(gw.load(name).logits(inputs), model.logits(inputs))
    hub.requests.clear()
    monkeypatch.setenv("GATEWISE_OFFLINE", "1")
    np.testing.assert_array_equal(gw.load(address).logits(inputs), first.logits(inputs))
    assert not hub.requests
    with pytest.raises(ModelFileError, match="not in the cache, and GATEWISE_OFFLINE forbids downloads"):
        gw.load("hf://someone/another")


def test_the_card_has_the_metadata_block_and_may_be_edited(hub: Hub) -> None:
    model = random_model()
    metadata = model.metadata.with_evaluation(EvalResult("some reviews", 400, 0.875, 0.3))
    replace(model, metadata=metadata).push_to_hub(REPO)
    text = hub.files(REPO, "main")["README.md"].decode()
    data = huggingface_hub.ModelCard(text).data
    block = data.to_dict()
    assert (block["library_name"], block["pipeline_tag"]) == ("gatewise", "text-classification")
    assert data.eval_results is not None
    [result] = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("some reviews", "accuracy", 0.875)
    assert text.endswith(replace(model, metadata=metadata).card())
    hub.commit(REPO, "main", {"README.md": b"edited", "notes.txt": b"more"})
    assert gw.load(f"hf://{REPO}").metadata == metadata


def test_a_changed_file_is_refused(hub: Hub) -> None:
    random_model().push_to_hub(REPO)
    weights = bytearray(hub.files(REPO, "main")["lstm.safetensors"])
    weights[-1] ^= 1
    hub.commit(REPO, "main", {"lstm.safetensors": bytes(weights)})
    with pytest.raises(ModelFileError, match=rf"'hf://{REPO}': lstm.safetensors was changed or damaged"):
        gw.load(f"hf://{REPO}")


def test_one_line_for_what_fails(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.create(REPO, private=False)
    for address, message in (
        ("hf://someone/nothing", "the Hub has no such model"),
        (f"hf://{REPO}@no-branch", "no such revision"),
        (f"hf://{REPO}", "not a gatewise model: a file is missing"),
    ):
        with pytest.raises(ModelFileError, match=message) as caught:
            gw.load(address)
        assert "\n" not in str(caught.value)
    for address in ("hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b@x y"):
        with pytest.raises(InputError, match="hf://owner/name"):
            gw.load(address)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for call in (lambda: gw.load(f"hf://{REPO}"), lambda: random_model().push_to_hub(REPO)):
        with pytest.raises(GatewiseError, match=rf"'hf://{REPO}': "):
            call()
