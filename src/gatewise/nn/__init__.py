"""PyTorch modules: `LSTM`, a replacement for torch.nn.LSTM, `lstm`, the recurrence alone, and converters."""

import os
import sys

from gatewise.errors import MissingExtra

# Idle OpenMP threads of torch spin after each parallel region. That occupies cores between the kernel's regions and
# torch's; on a busy machine a training step takes three times as long. Passive threads sleep. torch reads this variable
# when it is imported.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "torch", "gatewise.nn") from error

from gatewise.nn.convert import from_keras, from_onnx, from_torch, to_keras, to_torch, torch_state_dict
from gatewise.nn.graph_module import GraphModule
from gatewise.nn.kernel_ops import LstmStates, lstm
from gatewise.nn.lstm import LSTM

__all__ = [
    "LSTM",
    "GraphModule",
    "LstmStates",
    "from_keras",
    "from_onnx",
    "from_torch",
    "lstm",
    "to_keras",
    "to_torch",
    "torch_state_dict",
]
