"""The Open Inference Protocol: by hand, and by a client that others wrote."""

import json
import struct
import warnings
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from tests.refusals import assert_refused
from tests.serve.conftest import HOSTILE, TEXTS, labels_of
from tests.serve.server import Answer, ask, post

INFER = "/v2/models/reviews/infer"


def tensor(**changes: Any) -> dict[str, Any]:
    """A right input, with something else in it; None takes a key out."""
    found = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a good film", "bad"]} | changes
    return {name: value for name, value in found.items() if value is not None}


def output(reply: Answer, name: str) -> Any:
    (found,) = [one for one in reply.json()["outputs"] if one["name"] == name]
    return np.array(found["data"], dtype=object if name == "label" else float).reshape(found["shape"])


def test_nested_data(port: int, models: dict[str, Model]) -> None:
    nested = tensor(shape=[2, 1], data=[["a good film"], ["bad"]])
    assert output(post(port, INFER, {"inputs": [nested]}), "label").shape == (2,)
    series = np.random.default_rng(2).standard_normal((2, 3, 2)).astype(np.float32)
    given = {"name": "series", "shape": [2, 3, 2], "datatype": "FP32", "data": series.tolist()}
    found = output(post(port, "/v2/models/gestures/infer", {"inputs": [given]}), "probabilities")
    np.testing.assert_allclose(found, models["gestures"].predict_proba(list(series)), atol=1e-6)


SERIES = {"name": "series", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}


def of_texts(**changes: Any) -> Any:
    return "reviews", {"inputs": [tensor(**changes)]}


def of_series(**changes: Any) -> Any:
    return "gestures", {"inputs": [SERIES | changes]}


@pytest.mark.parametrize(
    ("name", "request_", "field"),
    [
        ("none", {"inputs": [tensor()]}, "model"),
        ("reviews/versions/2", {"inputs": [tensor()]}, "version"),
        ("reviews", b"{", "body"),
        ("reviews", {}, "inputs"),
        ("reviews", {"inputs": []}, "inputs"),
        ("reviews", {"inputs": [tensor(), tensor()]}, "inputs"),
        ("reviews", {"inputs": ["xyzzy"]}, "inputs[0]"),
        ("reviews", {"inputs": [tensor()], "xyzzy": 1}, "body"),
        ("reviews", {"inputs": [tensor()], "parameters": []}, "parameters"),
        ("reviews", {"inputs": [tensor()], "id": 7}, "id"),
        ("reviews", {"inputs": [tensor()], "outputs": [{"name": "xyzzy"}]}, "outputs"),
        ("reviews", {"inputs": [tensor()], "outputs": ["xyzzy"]}, "outputs"),
        ("reviews", {"inputs": [tensor()], "outputs": [{"name": "label"}, {"name": "label"}]}, "outputs"),
        ("reviews", {"inputs": [SERIES]}, "inputs[0]"),
        ("gestures", {"inputs": [tensor()]}, "inputs[0]"),
        (*of_texts(name="xyzzy"), "inputs[0].name"),
        (*of_texts(name=None), "inputs[0].name"),
        (*of_texts(datatype="xyzzy"), "inputs[0].datatype"),
        *((*of_texts(shape=shape), "inputs[0].shape")
          for shape in ([3], [2, 2], [1, 2], [-1], [], ["2"], [True], [10**30], "xyzzy")),
        *((*of_texts(data=data), "inputs[0].data") for data in ("xyzzy", None, ["a", 7])),
        (*of_texts(data=["a", " "]), "inputs[0].data[1]"),
        (*of_texts(data=["a", "\ud800"]), "inputs[0].data[1]"),
        (*of_texts(shape=[0], data=[]), "inputs[0].data"),
        (*of_texts(parameters=[]), "inputs[0]"),
        (*of_texts(data=None, parameters={"binary_data_size": 3}), "inputs[0].parameters.binary_data_size"),
        (*of_texts(parameters={"binary_data_size": 3}), "inputs[0].data"),
        (*of_texts(xyzzy=1), "inputs[0]"),
        *((*of_series(shape=shape), "inputs[0]") for shape in ([2, 2], [1, 1, 4], [1, 3, 2], [1, 1, 2], [0, 2, 2])),
        *((*of_series(data=data), "inputs[0].data")
          for data in ([[[1, 2, 3], [4]]], [[1, 2, 3, 4]], [1, 2, 3, "4"], [1, 2, 3, 1e39], [1, 2, [3, 4]])),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_what_cannot_be_answered(port: int, name: str, request_: Any, field: str) -> None:
    reply = post(port, f"/v2/models/{name}/infer", request_)
    assert reply.status == (404 if field in ("model", "version") else 400), reply.body
    assert set(reply.json()) == {"error"}
    assert reply.json()["error"].startswith(field)
    assert "xyzzy" not in reply.json()["error"]


def binary(texts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("length", "behind"),
    [
        (None, binary([b"good"])),
        ("7", binary([b"good"])),
        ("-1", binary([b"good"])),
        ("999999", binary([b"good"])),
        ("right", binary([b"good"])[:-1]),
        ("right", struct.pack("<I", 2**32 - 1) + b"good"),
        ("right", b"\x01"),
        ("right", binary([b"\xff\xfe"])),
        ("right", binary([b"good", b"bad"])),
        ("right", binary([b""])),
    ],
)
def test_invalid_binary_bodies(port: int, length: str | None, behind: bytes) -> None:
    given = tensor(shape=[1], data=None, parameters={"binary_data_size": len(behind)})
    start = json.dumps({"inputs": [given]}).encode()
    value = str(len(start)) if length == "right" else length
    headers = {} if value is None else {"Inference-Header-Content-Length": value}
    reply = ask(port, "POST", INFER, start + behind, headers)
    assert reply.status == 400, reply.body
    assert isinstance(reply.json()["error"], str)


@pytest.fixture
def triton(port: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gevent's and the client's own
        client = pytest.importorskip("tritonclient.http")
        found = client.InferenceServerClient(f"127.0.0.1:{port}")
        yield found
        found.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("as_binary", [True, False])
@pytest.mark.parametrize("name", ["reviews", "tokens", "gestures"])
def test_tritons_client(triton: Any, models: dict[str, Model], name: str, as_binary: bool) -> None:
    import tritonclient.http as client

    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready(name)
    listed = {(one["name"], one["version"], one["state"]) for one in triton.get_model_repository_index()}
    assert listed == {(one, "1", "READY") for one in models}
    about = triton.get_model_metadata(name)
    assert triton.get_server_metadata()["name"] == "gatewise"
    array: Any
    if name == "gestures":
        array = np.random.default_rng(3).standard_normal((4, 6, 2)).astype(np.float32)
        inputs: list[Any] = list(array)
    else:
        inputs = [*TEXTS, "Grüße \N{GRINNING FACE} \x00 שלום", "<script>"]
        array = np.array([text.encode() for text in inputs], dtype=object)
    tensor = client.InferInput(about["inputs"][0]["name"], list(array.shape), about["inputs"][0]["datatype"])
    tensor.set_data_from_numpy(array, binary_data=as_binary)
    for outputs in (None, [client.InferRequestedOutput("probabilities"), client.InferRequestedOutput("label")]):
        packed = "gzip" if outputs else None
        found = triton.infer(
            name, [tensor], outputs=outputs, request_id="7-é", model_version="1", request_compression_algorithm=packed
        )
        assert found.get_response()["id"] == "7-é"
        np.testing.assert_allclose(found.as_numpy("probabilities"), models[name].predict_proba(inputs), atol=1e-6)
        labels = [label if isinstance(label, str) else label.decode() for label in found.as_numpy("label").tolist()]
        assert labels == labels_of(models[name], inputs)
        assert set(labels) <= {*HOSTILE, *models[name].classes}


@pytest.mark.filterwarnings("ignore")
def test_tritons_client_gets_errors(triton: Any) -> None:
    client = pytest.importorskip("tritonclient.http")
    InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException
    tensor = client.InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b" "], dtype=object))
    assert_refused("row 0 is empty", triton.infer, "reviews", [tensor], error=InferenceServerException)
    assert_refused("no model of that name", triton.infer, "none", [tensor], error=InferenceServerException)
