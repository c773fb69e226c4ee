"""`gatewise.train`: from labelled data to a model, in one call."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatewise.data import Labelled, Unlabelled
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM, load_pretrained
from gatewise.storage import check_target, locked
from gatewise.training.callback import Callback
from gatewise.training.recipes import Recipe, default_recipe
from gatewise.training.recipes import recipe as named
from gatewise.training.run import Run
from gatewise.training.scope import one_torch_thread, seeded
from gatewise.training.start import match_pretrained
from gatewise.training.training_data import prepare

__all__ = ["train"]


def train(
    data: Labelled | Sequence[str] | Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    recipe: str | Recipe | None = None,
    pretrained: PretrainedLM | str | Path | None = None,
    unlabelled: Unlabelled | Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    callback: Callback | None = None,
    command: str = "",
    **changes: Any,
) -> Model:
    """Train a classifier and return its best epoch.

    data: Labelled, or n texts, or n series (steps, channels), with `labels` (n,) of two or more classes.
    recipe: a name or a Recipe; left out, "fast", or from a base "finetune", "few" for less than 2,000 rows; `changes`
    replace fields of it (`epochs=3`, `units=128`, ...). base: what `gatewise.pretrain` gave, or its folder.
    unlabelled: further texts, for a recipe with `student_epochs` or `latent`. seed: fixes the split, the start values,
    the order and the dropout. out: a folder that the model is saved to; while it trains, the checkpoint stands in
    `out`.run, from where `resume` goes on, bit for bit. Raises InputError for data or options that cannot be used,
    TrainingError for a loss that is not finite or a run folder that is in use, Interrupted after Ctrl-C.
    """
    labelled = _labelled(data, labels)
    recipe = recipe or default_recipe(len(labelled), pretrained is not None)
    chosen = named(recipe, **changes) if isinstance(recipe, str) else replace(recipe, **changes)
    pretrained = load_pretrained(pretrained) if isinstance(pretrained, str | Path) else pretrained
    chosen = chosen if pretrained is None else match_pretrained(chosen, pretrained)
    callback = callback or Callback()
    target = None if out is None else check_target(out)
    if resume and target is None:
        raise InputError("resume needs `out`, the folder that the run was started with")
    if unlabelled is not None and not chosen.uses_unlabelled:
        raise InputError(f"recipe {chosen.name} has no use for texts without labels (student_epochs, latent)")
    more = unlabelled if unlabelled is None or isinstance(unlabelled, Unlabelled) else Unlabelled.of(unlabelled)
    if more is not None and labelled.kind == "series":
        raise InputError(f"{labelled.source}: texts without labels tell nothing of series")
    if changes.get("ngram_order") and labelled.kind == "series":
        raise InputError(f"{labelled.source}: n-grams are for texts, and a series has no words")
    training_data = prepare(labelled, chosen, seed, None if pretrained is None else pretrained.encoding)
    run = None if target is None else target.with_name(target.name + ".run")
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
    with locked(run) if run is not None else nullcontext(), seeded(seed), one_torch_thread():
        once = Run(seed, pretrained, target, resume, callback, command)
        if more is not None:
            training_data = once.taught(training_data, more, run)
        model = once.trained(training_data, run)
    if run is not None:
        shutil.rmtree(run)
    callback.finished(model)
    return model


def _labelled(data: Any, labels: Sequence[Any] | None) -> Labelled:
    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        return data
    if labels is None:
        raise InputError("labels are missing: one for each text or series")
    return Labelled.of(data, labels)
