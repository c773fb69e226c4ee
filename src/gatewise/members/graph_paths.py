"""The gradients of scores on straight paths of what a graph reads, for integrated gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gatewise.members.graph_feeds import GraphFeeds
from gatewise.members.graph_steps import placed, taken
from gatewise.members.path_gradients import PathGradient, PathPoints
from gatewise.network.operation import Execution
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel


def path_gradient(feeds: GraphFeeds, path: PathPoints, kernel: Kernel) -> PathGradient:
    """Of the points of one path, in batches."""
    scores = []
    gradient = np.zeros(path.x.shape)
    first = 0
    while first < len(path.alphas):
        count = feeds.rows(path.part, len(path.alphas) - first, every=True)
        points = slice(first, first + count)
        of_batch = _batch_gradient(feeds, path, points, kernel)
        scores.append(of_batch.scores)
        gradient += of_batch.gradient
        first += count
    return PathGradient(np.concatenate(scores), gradient)


def _batch_gradient(feeds: GraphFeeds, path: PathPoints, points: slice, kernel: Kernel) -> PathGradient:
    """Of these points of a path, K of them, in one run."""
    form = feeds.form
    alphas = path.alphas[points]
    weights = path.weights[points]
    rows = max(len(alphas), form.fewest_rows)
    alphas_of_rows = np.zeros(rows)
    alphas_of_rows[: len(alphas)] = alphas
    x = path.base + alphas_of_rows[:, None, None] * (path.x - path.base)  # (B, T, D)
    x = x.astype(np.float32)
    inputs = feeds.of([path.part] * rows)
    if form.steps.lookups:
        graph = form.steps.from_lookups
        inputs |= form.steps.split(x)
        names = [lookup.value for lookup in form.steps.lookups]
    else:
        graph = form.explained
        names = [form.axes.main]
        inputs[form.axes.main] = placed(x.reshape(*x.shape[:2], *form.channel_shape), form.main_axes)
    step = path.step or 0

    def grad_of(logits: Array) -> Array:
        of_logits = np.zeros_like(form.taken(logits))  # (B, T or 1, outputs)
        of_logits[: len(alphas), step] = weights[:, None] * path.logit_weights
        return form.placed(of_logits, logits)

    logits, grads = graph.gradients(inputs, form.logits_name, grad_of, names, execution=Execution(kernel=kernel))
    scores = form.taken(logits)[: len(alphas), step].astype(np.float64) @ path.logit_weights
    if form.steps.lookups:
        of_x = form.steps.joined(grads)
    else:
        of_x = taken(grads[form.axes.main], form.main_axes)
    of_x = of_x.reshape(*of_x.shape[:2], -1)[: len(alphas)]  # (K, T, D)
    return PathGradient(scores, of_x.astype(np.float64).sum(axis=0))
