"""The rules of ATen: how its operations become nodes of a graph, by their names without the overload.

`KEPT` are the operations that torch would write down as several others, and `REFUSED` those that a graph cannot have.
"""

from __future__ import annotations

from collections.abc import Callable

from gatewise.errors import InputError
from gatewise.exchange.torch_call import Rule
from gatewise.network.rule_table import RuleTable
from gatewise.network.size import Dim, Size

RULES: RuleTable[Rule] = RuleTable()
"""By the namespace and name of the operation, such as "aten::relu"."""

OPEN = 1 << 62  # from here on, the end of a slice stands for that of the axis

KEPT = (
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "avg_pool1d", "batch_norm", "celu", "chunk", "dropout", "einsum", "elu", "feature_dropout", "gelu", "group_norm",
    "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm", "leaky_relu", "linear",
    "log_sigmoid_forward", "log_softmax", "logsumexp", "masked_fill", "matmul", "max_pool1d", "mish", "one_hot",
    "pad", "prelu", "relu6",
    "rms_norm", "selu", "silu", "softmax", "softplus", "stack", "std", "unbind", "unflatten", "var",
)  # fmt: skip
"""Operations that are read as they are, though torch would decompose them."""

REFUSED = {
    "embedding_renorm": "max_norm changes its weights in each call: set max_norm = None",
    "bernoulli": "it is random: leave it out in eval mode, such as F.dropout(x, p, training=self.training)",
    "dropout": "it drops values at random in eval mode too: write F.dropout(x, p, training=self.training)",
    "native_dropout": "it drops values at random in eval mode too: write F.dropout(x, p, training=self.training)",
    "feature_dropout": "it drops values at random in eval mode too: write training=self.training",
    "alpha_dropout": "it drops values at random in eval mode too: write training=self.training",
    "rand": "it is random: pass the random numbers as an input, or make them once in __init__",
    "rand_like": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randn": "it is random: pass the initial state as an input, or start from zeros",
    "randn_like": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randint": "it is random: pass the random numbers as an input, or make them once in __init__",
    "randperm": "it is random: pass the order as an input, or make it once in __init__",
    "normal": "it is random: pass the random numbers as an input, or make them once in __init__",
    "normal_functional": "it is random: pass the random numbers as an input, or make them once in __init__",
    "uniform": "it is random: pass the random numbers as an input, or make them once in __init__",
    "multinomial": "it is random: return the probabilities, and choose outside of the network",
    "exponential": "it is random: pass the random numbers as an input, or make them once in __init__",
    "rrelu_with_noise": "it is random while training: call module.eval()",
    "_native_batch_norm_legit": "it takes the mean of the batch, which depends on the other rows: call module.eval()",
    "item": "a number of a tensor decides what is computed: compute with the tensor itself, such as torch.where",
    "_local_scalar_dense": "a number of a tensor decides what is computed: compute with it, such as torch.where",
    "nonzero": "the number of results depends on the values: use a mask with torch.where or masked_fill",
    "masked_select": "the number of results depends on the values: use a mask with torch.where or masked_fill",
    "unique": "the number of results depends on the values: compute it outside of the network",
    "_unique2": "the number of results depends on the values: compute it outside of the network",
    "generator": "it draws random numbers from a torch.Generator: make them once in __init__, or pass them as an input",
}
"""Operations that a graph cannot have, with the reason and what to write instead."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of the operations with these names, of ATen where they name no other namespace."""
    return RULES.rule(*(name if "::" in name else f"aten::{name}" for name in names))


def fixed_size(size: Dim) -> int:
    """A size as a number. Raises InputError for one that depends on the inputs."""
    if isinstance(size, Size):
        raise InputError(f"the size {size} depends on the inputs, and must be a constant here")
    return size
