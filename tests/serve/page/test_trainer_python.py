"""The networks that train in the page compute what Python does: states, logits, gradients, a training run with Adam."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.cell import step_backward, step_forward
from tests.children import run_child

PAGE = Path(__file__).resolve().parents[3] / "src" / "gatewise" / "serve" / "page"
UNITS, INPUTS, STEPS, SEQUENCES = 4, 3, 9, 6
RATE = 0.02
SCRIPT = """
const page = process.argv[1], kind = process.argv[2];
const { LstmNetwork } = await import(`${page}/trainer/lstm.js`);
const { PlainNetwork } = await import(`${page}/trainer/plain.js`);
const { createTraining, lossOf } = await import(`${page}/trainer/training.js`);
const { seeded } = await import(`${page}/trainer/random.js`);
const random = seeded(7);
const shape = { units: 4, inputs: 3, seed: 5 };
const network = kind === "plain" ? new PlainNetwork(shape) : new LstmNetwork({ ...shape, forgetBias: 2 });
network.parameters.forEach((value, n) => (network.parameters[n] = value + 0.4 * random() - 0.2));
const parts = () => Object.fromEntries(Object.keys(network.shapes).map(name => [name, [...network[name]]]));
const examples = Array.from({ length: 6 }, (_, n) => ({
    x: Float64Array.from({ length: 27 }, () => 2 * random() - 1), label: n % 2 }));
const start = parts();
const gradient = new Float64Array(network.parameters.length);
const dx = new Float64Array(27);
const run = network.forward(examples[0].x);
const { loss, dlogits } = lossOf(run, examples[0]);
const states = network.backward(run, dlogits, gradient, dx);
let drawn = 0;
const training = createTraining(network, () => examples[drawn++ % 6], { batch: 3, rate: 0.02, limit: 0.5 });
const losses = Array.from({ length: 12 }, () => training.next().loss);
const views = network.viewsOf(gradient);
const plain = object => Object.fromEntries(Object.entries(object).map(([name, values]) => [name, [...values]]));
console.log(JSON.stringify({ start, end: parts(), losses, loss, gradient: plain(views), states: plain(states),
    dx: [...dx], h: [...run.h], c: run.c ? [...run.c] : null, logits: [...run.logits],
    examples: examples.map(({ x, label }) => ({ x: [...x], label })) }));
"""


def page_numbers(kind: str) -> dict[str, Any]:
    node = shutil.which("node") or pytest.skip("no node here: apt-get install nodejs")
    done = run_child([node, "--input-type=module", "-e", SCRIPT, PAGE.as_uri(), kind])
    assert done.returncode == 0, done.stderr[-2000:]
    numbers: dict[str, Any] = json.loads(done.stdout)
    return numbers


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.ravel(found), np.ravel(wanted), rtol=0, atol=1e-5)


SHAPES = {"weightIh": (-1, INPUTS), "weightHh": (-1, UNITS), "bias": (-1,), "weight": (UNITS,), "denseBias": (1,)}


def tensors(parts: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(values, dtype=torch.float64).reshape(SHAPES[name]).requires_grad_()
        for name, values in parts.items()
    }


def run_torch(kind: str, p: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[list[Any], list[Any], torch.Tensor]:
    """h and c of each step, whose gradients are kept, and the last logit: steps of torch.nn.RNNCell or LSTMCell."""
    zeros = torch.zeros(1, UNITS, dtype=torch.float64)
    h = zeros
    c = zeros
    outputs = []
    memories = []
    none = torch.zeros_like(p["bias"])
    for row in x:
        if kind == "plain":
            h = torch.ops.aten.rnn_tanh_cell(row[None], h, p["weightIh"], p["weightHh"], p["bias"], none)
        else:
            h, c = torch.ops.aten.lstm_cell(row[None], [h, c], p["weightIh"], p["weightHh"], p["bias"], none)
            c.retain_grad()
            memories.append(c)
        h.retain_grad()
        outputs.append(h)
    return outputs, memories, (h @ p["weight"] + p["denseBias"]).squeeze()


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["plain", "lstm"])
def test_a_run_its_gradients_and_a_training_are_those_of_torch(kind: str) -> None:
    numbers = page_numbers(kind)
    parameters = tensors(numbers["start"])
    first = numbers["examples"][0]
    x = torch.tensor(first["x"], dtype=torch.float64).reshape(STEPS, INPUTS).requires_grad_()
    outputs, memories, logit = run_torch(kind, parameters, x)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor(float(first["label"])).double())
    loss.backward()
    close(numbers["h"], [h.detach() for h in outputs])
    close(numbers["logits"][-1], logit.item())
    close(numbers["loss"], loss.item())
    close(numbers["dx"], x.grad)
    for name, tensor in parameters.items():
        close(numbers["gradient"][name], tensor.grad)
    close(numbers["states"]["dh"], [h.grad for h in outputs])
    if kind == "lstm":
        close(numbers["c"], [c.detach() for c in memories])
        close(numbers["states"]["dc"], [c.grad for c in memories])

    # Adam as Keras has it: the correction is in the step, and epsilon outside of it.
    trained = tensors(numbers["start"])
    m = {name: torch.zeros_like(tensor) for name, tensor in trained.items()}
    v = {name: torch.zeros_like(tensor) for name, tensor in trained.items()}
    losses = []
    for step in range(12):
        rows = [numbers["examples"][(3 * step + n) % SEQUENCES] for n in range(3)]
        total = torch.zeros((), dtype=torch.float64)
        for row in rows:
            x = torch.tensor(row["x"], dtype=torch.float64).reshape(STEPS, INPUTS)
            label = torch.tensor(float(row["label"])).double()
            _, _, logit = run_torch(kind, trained, x)
            total = total + torch.nn.functional.binary_cross_entropy_with_logits(logit, label) / 3
        losses.append(total.item())
        total.backward()
        norm = torch.sqrt(sum((tensor.grad**2).sum() for tensor in trained.values()))
        size = RATE * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        with torch.no_grad():
            for name, tensor in trained.items():
                gradient = tensor.grad * min(1.0, 0.5 / norm.item())
                m[name] += 0.1 * (gradient - m[name])
                v[name] += 0.001 * (gradient**2 - v[name])
                tensor -= size * m[name] / (torch.sqrt(v[name]) + 1e-7)
                tensor.grad = None
    close(numbers["losses"], losses)
    for name, tensor in trained.items():
        close(numbers["end"][name], tensor.detach())


def test_the_lstm_is_that_of_cell_py() -> None:
    numbers = page_numbers("lstm")
    p = {name: np.reshape(values, SHAPES[name]) for name, values in numbers["start"].items()}
    x = np.reshape(numbers["examples"][0]["x"], (STEPS, 1, INPUTS))
    h = c = np.zeros((1, UNITS))
    steps = []
    before = []
    for row in x:
        before.append((h, c))
        step = step_forward(row @ p["weightIh"].T + p["bias"], h, c, p["weightHh"])
        h, c = step.h, step.c
        steps.append(step)
    close(numbers["h"], [step.h for step in steps])
    close(numbers["c"], [step.c for step in steps])
    logit = (h @ p["weight"] + p["denseBias"]).item()
    dlogit = 1 / (1 + np.exp(-logit)) - numbers["examples"][0]["label"]
    dh, dc = dlogit * p["weight"][None], np.zeros((1, UNITS))
    dbias, dweight_hh, dx = np.zeros(4 * UNITS), np.zeros_like(p["weightHh"]), []
    for step, (h_prev, c_prev) in zip(reversed(steps), reversed(before), strict=True):
        dpre, dh, dc = step_backward(step, c_prev, dh, dc, p["weightHh"])
        dbias += dpre[0]
        dweight_hh += dpre.T @ h_prev
        dx.append(dpre @ p["weightIh"])
    close(numbers["gradient"]["bias"], dbias)
    close(numbers["gradient"]["weightHh"], dweight_hh)
    close(numbers["dx"], dx[::-1])
