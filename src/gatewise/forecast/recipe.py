"""The recipe of a forecaster's LSTM."""

from __future__ import annotations

from gatewise.training.recipes import Recipe

RECIPE = Recipe(
    name="forecast",
    encoding="tokens",
    vocab_size=1,
    units=16,
    epochs=5,
    min_steps=400,
    batch_size=16,
    learning_rate=0.01,
    schedule="one-cycle",
    grad_clip=1.0,
    validation_by="time",  # windows overlap: the last ones validate
)
"""Small and fast, because the windows of one series are few: docs/log/accuracy.md."""
