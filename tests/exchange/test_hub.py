"""`push_to_hub` and `gw.load("hf://...")` against a local stand-in of the Hub.

Changed files, and names of a manifest that lead elsewhere: the attack `hostile-hub` of trust.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

import gatewise as gw
from gatewise.errors import GatewiseError, ModelFileError
from gatewise.model.card import EvalResult
from tests.exchange.hub_server import Hub, hub_server
from tests.exchange.random_models import random_inputs, random_model
from tests.refusals import assert_refused

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
    address = gw.push_to_hub(first, REPO, private=True)
    assert re.fullmatch(rf"hf://{REPO}@[0-9a-f]{{40}}", address)
    assert hub.private[REPO]
    inputs = random_inputs(first)
    second = random_model(seed=7)
    assert gw.push_to_hub(second, REPO) != address
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
    gw.push_to_hub(replace(model, metadata=metadata), REPO)
    text = hub.files(REPO, "main")["README.md"].decode()
    data = huggingface_hub.ModelCard(text).data
    block = data.to_dict()
    assert (block["library_name"], block["pipeline_tag"]) == ("gatewise", "text-classification")
    [result] = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("some reviews", "accuracy", 0.875)
    assert text.endswith(replace(model, metadata=metadata).card())
    hub.commit(REPO, "main", {"README.md": b"edited", "notes.txt": b"more"})
    assert gw.load(f"hf://{REPO}").metadata == metadata


@pytest.mark.parametrize("length", [None, 1 << 30, 10])
@pytest.mark.parametrize("name", ["manifest.json", "config.json", "lstm.safetensors"])
def test_a_gigabyte_behind_a_name_costs_nothing(hub: Hub, name: str, length: int | None, tmp_path: Path) -> None:
    """It took 1 GB of memory and of the disk."""
    gw.push_to_hub(random_model(), REPO)
    hub.streams[name] = length
    assert_refused(rf"'hf://{REPO}'.*{re.escape(name)}", gw.load, f"hf://{REPO}", error=ModelFileError)
    assert hub.sent < 50 << 20  # what the sockets hold
    assert not [one for one in (tmp_path / "cache").rglob("*") if one.name == name and one.stat().st_size > 10]


def test_redirects(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the host of the Hub; a token goes to no other host, and a file of another host is not read."""
    gw.push_to_hub(random_model(), REPO)
    hub.redirects["config.json"] = "{}?again"
    assert gw.load(f"hf://{REPO}").classes
    assert hub.tokens == ["Bearer hf_of_the_test"]
    for target in ("http://169.254.169.254/latest", "ftp://127.0.0.1/x", "http://xhf.co/"):
        hub.commit(REPO, "main", {"notes.txt": target.encode()})
        hub.redirects["config.json"] = target
        with pytest.raises(ModelFileError, match=rf"'hf://{REPO}': the file is on '.*, not on a host of the Hub"):
            gw.load(f"hf://{REPO}")


def test_one_line_for_what_fails(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.create(REPO, private=False)
    for address, message in (
        ("hf://someone/nothing", "the Hub has no such model"),
        (f"hf://{REPO}@no-branch", "no such revision"),
        (f"hf://{REPO}", "not a gatewise model: a file is missing"),
    ):
        assert_refused(message, gw.load, address, error=ModelFileError)
    for address in ("hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b@x y"):
        assert_refused("hf://owner/name", gw.load, address)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for call in (lambda: gw.load(f"hf://{REPO}"), lambda: gw.push_to_hub(random_model(), REPO)):
        assert_refused(rf"'hf://{REPO}': ", call, error=GatewiseError)
