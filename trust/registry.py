"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attacks.folders import CHECKPOINTS, MODEL_FOLDERS, PRETRAINED_FOLDERS

ATTACKS = {attack.name: attack for attack in (MODEL_FOLDERS, PRETRAINED_FOLDERS, CHECKPOINTS)}
