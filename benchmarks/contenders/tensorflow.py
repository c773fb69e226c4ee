"""Keras 3 on TensorFlow: the tutorial's model, trained by a tf.function or by Keras's train_on_batch."""

from __future__ import annotations

import os
from functools import partial
from itertools import cycle
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from benchmarks.contenders.base import Arrays, Settings, Task, batches_of, padded, reviews_of, seconds_of_steps, sgemm

THREADS = int(os.environ["OMP_NUM_THREADS"])  # which TensorFlow accepts only before its first operation
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)
tf.config.set_visible_devices([], "GPU")
# Gates in the order i f g o (i f c o in Keras), transposed.
NAMES = ("embedding.weight", "weight_ih", "weight_hh", "bias", "dense.weight", "dense.bias")
TRANSPOSED = {"weight_ih", "weight_hh", "dense.weight"}


def _info(settings: str) -> dict[str, str]:
    return {"tensorflow": str(tf.__version__), "keras": str(keras.__version__), "settings": settings}


def step(settings: Settings, arrays: Arrays) -> Task:
    """Training steps on pre-padded ids; `mask_zero` masks the pads."""
    size, steps, masked = settings["batch_size"], settings["length"], settings.get("mask_zero", False)
    ids = [padded(part, steps, "pre").astype(np.int32) for part in batches_of(reviews_of(arrays), size)]
    labels = np.split(arrays["labels"][:, None].astype(np.float32), range(size, len(arrays["labels"]), size))
    batches = list(zip(ids, labels, strict=True))
    rows, width = arrays["embedding.weight"].shape
    model = keras.Sequential(
        [
            keras.Input((steps,), batch_size=size, dtype="int32"),
            keras.layers.Embedding(rows, width, mask_zero=masked),
            keras.layers.LSTM(arrays["weight_hh"].shape[1]),
            keras.layers.Dense(1),
        ]
    )
    model.set_weights([arrays[name].T if name in TRANSPOSED else arrays[name] for name in NAMES])
    loss_of, optimizer = keras.losses.BinaryCrossentropy(from_logits=True), keras.optimizers.Adam(0.001, epsilon=1e-7)
    jit, api = settings.get("jit_compile", False), settings.get("api", "tf.function")
    if api == "train_on_batch":
        model.compile(optimizer, loss_of, jit_compile=jit)
    else:
        optimizer.build(model.trainable_variables)

    def gradients(ids: Any, labels: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            logits = model(ids, training=True)
            loss = loss_of(labels, logits)
        return loss, logits, tape.gradient(loss, [v.value for v in model.trainable_variables])

    @partial(tf.function, jit_compile=jit)
    def update(ids: Any, labels: Any) -> Any:
        loss, _, found = gradients(ids, labels)
        optimizer.apply(found, model.trainable_variables)
        return loss

    following = cycle(batches)

    def train() -> None:
        ids, labels = next(following)
        if api == "train_on_batch":
            float(model.train_on_batch(ids, labels))
        else:
            float(update(tf.constant(ids), tf.constant(labels)))

    def check() -> Arrays:
        loss, logits, found = tf.function(gradients)(*batches[0])
        outputs = {"loss": loss.numpy(), "logits": logits.numpy()[:, 0]}
        for name, gradient in zip(NAMES, found, strict=True):
            array = tf.convert_to_tensor(gradient).numpy()
            outputs[f"d {name}"] = array.T if name in TRANSPOSED else array
        return outputs

    info = _info(f"{api}, jit_compile={jit}{', mask_zero' * masked}, intra-op threads set")
    return Task(partial(seconds_of_steps, train, settings), info, check)


def product(settings: Settings, arrays: Arrays) -> Task:
    """tf.matmul."""

    def matmul(a: Any, b: Any) -> Any:
        return tf.matmul(a, b).numpy()

    return sgemm(settings, lambda size: tf.random.normal((size, size)), matmul, "tf.matmul", _info(""))


TASKS = {"step": step, "sgemm": product}
