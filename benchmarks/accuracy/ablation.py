"""Ablation of fine-tuning: the row `large` (`gatewise train --pretrained DIR`) with one change each."""

from __future__ import annotations

from benchmarks.accuracy.rows import Row, trained

ABLATIONS: tuple[Row, ...] = (
    trained(
        "large-no-pretraining",
        "no pretraining: the same network, random initial weights",
        None,
        recipe="finetune",
        embedding_dim=256,
        units=512,
    ),
    trained("large-last-pooling", "pooling `last` instead of `mean+max`", "large", pooling="last"),
    trained("large-finetune-1-epoch", "one epoch instead of two", "large", epochs=1),
    trained("large-finetune-3-epochs", "three epochs", "large", epochs=3),
    trained("large-adversarial", "three epochs with adversarial training", "large", epochs=3, adversarial=0.01),
    trained("large-constant-lr", "constant learning rate, at the peak of one-cycle", "large", schedule="constant"),
    trained("large-embedding-lr-scale-1", "embeddings at the full learning rate", "large", embedding_lr_scale=1.0),
    trained("large-frozen-embedding", "embeddings frozen", "large", embedding_lr_scale=0.0),
    trained("large-linear-probe", "dense layer initialised by a linear probe", "large", probe_l2=500.0),
    trained("large-dropout-word", "with word dropout of 0.1", "large", dropout_word=0.1),
    trained("large-no-dropout-embedding", "without embedding dropout", "large", dropout_embedding=0.0),
    trained("large-no-dropout-output", "without dropout before the dense layer", "large", dropout_output=0.0),
)
