"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attacks.folders import CHECKPOINTS, MODEL_FOLDERS, PRETRAINED_FOLDERS
from trust.attacks.kills import KILLS_FINETUNE, KILLS_PRETRAINING, KILLS_SAVE, KILLS_SERIES, KILLS_TEXT

ATTACKS = {
    attack.name: attack
    for attack in (
        MODEL_FOLDERS,
        PRETRAINED_FOLDERS,
        CHECKPOINTS,
        KILLS_TEXT,
        KILLS_SERIES,
        KILLS_PRETRAINING,
        KILLS_FINETUNE,
        KILLS_SAVE,
    )
}
