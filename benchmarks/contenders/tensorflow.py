"""Keras 3 on TensorFlow: the tutorial's model, trained by a tf.function or by Keras's train_on_batch."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from benchmarks.contenders.base import (
    Arrays,
    Settings,
    Sgemm,
    Task,
    Unavailable,
    padded,
    reviews_of,
    seconds_of_steps,
)

_READY: list[int] = []


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    if not _READY:  # TensorFlow accepts the number of threads only before its first operation
        tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
        tf.config.set_visible_devices([], "GPU")
        _READY.append(settings["threads"])
    if settings["threads"] not in _READY:
        raise Unavailable(f"this process runs TensorFlow on {_READY[0]} threads")
    if kind == "step":
        return Step(settings, arrays)
    if kind == "sgemm":
        multiply = lambda a, b: tf.matmul(a, b).numpy()  # noqa: E731
        return Sgemm(settings, lambda size: tf.random.normal((size, size)), multiply, "tf.matmul", _versions())
    raise Unavailable(f"Keras does not support {kind}")


def _versions(**more: str) -> dict[str, str]:
    return {"tensorflow": str(tf.__version__), "keras": str(keras.__version__), **more}


class Step:
    """Training steps on pre-padded ids; `mask_zero` masks the pads."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        reviews, size, steps = reviews_of(arrays), settings["batch_size"], settings["length"]
        cuts = range(0, len(reviews), size)
        self.ids = [padded(reviews[n : n + size], steps, "pre").astype(np.int32) for n in cuts]
        self.labels = [arrays["labels"][n : n + size, None].astype(np.float32) for n in cuts]
        rows, width = arrays["embedding.weight"].shape
        units = arrays["weight_hh"].shape[1]
        self.model = keras.Sequential(
            [
                keras.Input((steps,), batch_size=size, dtype="int32"),
                keras.layers.Embedding(rows, width, mask_zero=settings.get("mask_zero", False)),
                keras.layers.LSTM(units),
                keras.layers.Dense(1),
            ]
        )
        # Gates in the order i f g o (i f c o in Keras), transposed.
        self.names = ("embedding.weight", "weight_ih", "weight_hh", "bias", "dense.weight", "dense.bias")
        self.transposed = {"weight_ih", "weight_hh", "dense.weight"}
        self.model.set_weights([arrays[n].T if n in self.transposed else arrays[n] for n in self.names])
        self.loss = keras.losses.BinaryCrossentropy(from_logits=True)
        self.optimizer = keras.optimizers.Adam(0.001, epsilon=1e-7)
        self.jit, self.api = settings.get("jit_compile", False), settings.get("api", "tf.function")
        if self.api == "train_on_batch":
            self.model.compile(self.optimizer, self.loss, jit_compile=self.jit)
        else:
            self.optimizer.build(self.model.trainable_variables)
        self.step = tf.function(self._step, jit_compile=self.jit)
        self.place = 0

    def _gradients(self, ids: Any, labels: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            logits = self.model(ids, training=True)
            loss = self.loss(labels, logits)
        return loss, logits, tape.gradient(loss, [v.value for v in self.model.trainable_variables])

    def _step(self, ids: Any, labels: Any) -> Any:
        loss, _, gradients = self._gradients(ids, labels)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return loss

    def check(self) -> Arrays:
        loss, logits, gradients = tf.function(self._gradients)(self.ids[0], self.labels[0])
        outputs = {"loss": loss.numpy(), "logits": logits.numpy()[:, 0]}
        for name, gradient in zip(self.names, gradients, strict=True):
            array = tf.convert_to_tensor(gradient).numpy()
            outputs[f"d {name}"] = array.T if name in self.transposed else array
        return outputs

    def run(self) -> float:
        return seconds_of_steps(self._next, self.settings)

    def _next(self) -> None:
        ids, labels = self.ids[self.place], self.labels[self.place]
        if self.api == "train_on_batch":
            float(self.model.train_on_batch(ids, labels))
        else:
            float(self.step(tf.constant(ids), tf.constant(labels)))
        self.place = (self.place + 1) % len(self.ids)

    def info(self) -> dict[str, str]:
        masked = ", mask_zero" if self.settings.get("mask_zero") else ""
        return _versions(settings=f"{self.api}, jit_compile={self.jit}{masked}, intra-op threads set")
