"""A forward pass, its loss and its backward pass, as a step of training makes them."""

from gatewise.network.autograd import Variable
from gatewise.network.batch import Batch
from gatewise.network.trainable import LossOf, Network
from gatewise.types import Array


def backward(network: Network, batch: Batch, loss_of: LossOf, x: Variable | None = None) -> tuple[Array, float]:
    """Add the gradient of a batch's loss to the parameters; return the logits (B, outputs) and the loss."""
    predictions = network.forward(batch, x)
    losses = predictions.losses(loss_of)
    predictions.backward(losses)
    return predictions.logits, losses[0].value
