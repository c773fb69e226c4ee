"""What each part of fine-tuning gives: the row `large`, `train --pretrained DIR`, with one thing changed at a time."""

from __future__ import annotations

from benchmarks.accuracy.rows import Row, trained

__all__ = ["PARTS"]

PARTS: tuple[Row, ...] = (
    trained(
        "large-from-nothing",
        "no base: the same network, all drawn",
        None,
        recipe="finetune",
        embedding_dim=256,
        units=512,
    ),
    trained("large-last", "the last state in place of mean and maximum", "large", pooling="last"),
    trained("large-one-epoch", "one epoch in place of two", "large", epochs=1),
    trained("large-three-epochs", "three epochs", "large", epochs=3),
    trained("large-adversarial", "three epochs, and inputs that move against it", "large", epochs=3, adversarial=0.01),
    trained("large-constant", "the rate stays where one-cycle has its peak", "large", schedule="constant"),
    trained("large-one-rate", "the embedding at the whole rate, not at half", "large", embedding_lr_scale=1.0),
    trained("large-fixed-embedding", "the embedding does not move", "large", embedding_lr_scale=0.0),
    trained("large-head", "the dense layer fitted on the base's states before all moves", "large", probe_l2=500.0),
    trained("large-words", "word dropout of 0.1 as well", "large", dropout_word=0.1),
    trained("large-embedding", "no dropout of the embedding's numbers", "large", dropout_embedding=0.0),
    trained("large-output", "no dropout before the dense layer", "large", dropout_output=0.0),
    trained("large-recurrent", "recurrent dropout of 0.1 as well", "large", dropout_recurrent=0.1),
)
