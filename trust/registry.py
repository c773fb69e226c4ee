"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attacks.concurrency import CHANGING_ARRAYS, DATA_LOADER, FORKED, MANY_THREADS
from trust.attacks.folders import CHECKPOINTS, MODEL_FOLDERS, PRETRAINED_FOLDERS
from trust.attacks.fuzz import (
    FUZZ_ARFF,
    FUZZ_CSV,
    FUZZ_JSON,
    FUZZ_JSON_ROWS,
    FUZZ_KERNELS,
    FUZZ_NPZ,
    FUZZ_SAFETENSORS,
    FUZZ_TOKENIZER,
    FUZZ_TS,
    FUZZ_TSV,
    FUZZ_UCR,
)
from trust.attacks.hdf5 import HDF5_FILES
from trust.attacks.kills import KILLS_FINETUNE, KILLS_PRETRAINING, KILLS_SAVE, KILLS_SERIES, KILLS_TEXT
from trust.attacks.limits import DISK_FULL, DISK_FULL_TRAINING, LITTLE_MEMORY, READ_ONLY
from trust.attacks.numbers import DIGITS, EQUAL_BITS, NUMBERS
from trust.attacks.wheels import EQUAL_WHEELS

ATTACKS = {
    attack.name: attack
    for attack in (
        MODEL_FOLDERS,
        PRETRAINED_FOLDERS,
        CHECKPOINTS,
        HDF5_FILES,
        FUZZ_JSON,
        FUZZ_SAFETENSORS,
        FUZZ_TOKENIZER,
        FUZZ_TS,
        FUZZ_ARFF,
        FUZZ_UCR,
        FUZZ_CSV,
        FUZZ_TSV,
        FUZZ_JSON_ROWS,
        FUZZ_NPZ,
        FUZZ_KERNELS,
        KILLS_TEXT,
        KILLS_SERIES,
        KILLS_PRETRAINING,
        KILLS_FINETUNE,
        KILLS_SAVE,
        DISK_FULL,
        DISK_FULL_TRAINING,
        READ_ONLY,
        LITTLE_MEMORY,
        NUMBERS,
        DIGITS,
        EQUAL_BITS,
        MANY_THREADS,
        FORKED,
        DATA_LOADER,
        CHANGING_ARRAYS,
        EQUAL_WHEELS,
    )
}
