"""Architectures that no recipe trains: layers that differ in size, direction and merge, hidden layers, each pooling."""

from typing import get_args

from gatewise.network.architecture import Architecture, Hidden, Layer
from gatewise.types import Activation

TWO = Hidden(6, "relu"), Hidden(3, "tanh")
SHAPES = {
    "sizes": Architecture("tokens", 30, 5, (Layer(7), Layer(4), Layer(6))),
    "sizes-both-ways": Architecture("channels", 4, 0, (Layer(5, "both"), Layer(3), Layer(4, "both")), "mean+max"),
    "backward": Architecture("tokens", 30, 5, (Layer(7, "backward"),)),
    "backward-step": Architecture("tokens", 30, 5, (Layer(7, "backward"),), "step"),
    "step": Architecture("channels", 4, 0, (Layer(5), Layer(3)), "step", outputs=2),
    "step-both-ways": Architecture("tokens", 30, 5, (Layer(7, "both"),), "step"),
    "sum-last": Architecture("tokens", 30, 5, (Layer(7, "both", "sum"),)),
    "mean-mean": Architecture("tokens", 30, 5, (Layer(7, "both", "mean"),), "mean"),
    "product-below": Architecture("tokens", 30, 5, (Layer(7, "both", "product"), Layer(4)), "max"),
    "product-last": Architecture("tokens", 30, 5, (Layer(7, "both", "product"),)),
    "sum-max": Architecture("tokens", 30, 5, (Layer(7, "both", "sum"),), "mean+max"),
    "hidden": Architecture("tokens", 30, 5, (Layer(7),), hidden=TWO, outputs=3),
    "hidden-pads": Architecture("tokens", 30, 5, (Layer(7), Layer(4)), hidden=TWO[:1], max_length=40, padding="pre"),
    "hidden-both-ways": Architecture("channels", 4, 0, (Layer(5, "both"),), "mean+max", hidden=TWO[1:]),
    **{
        f"hidden-{name}": Architecture("channels", 4, 0, (Layer(5),), "mean", (Hidden(6, name, 0.3),))
        for name in get_args(Activation)
    },
    "each-step": Architecture("tokens", 30, 5, (Layer(7, "both"),), "none", outputs=4),
    "each-step-hidden": Architecture("channels", 4, 0, (Layer(5), Layer(3)), "none", TWO, outputs=2, max_length=9),
}
