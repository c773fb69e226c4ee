"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attacks.clocks import CLOCK_SERVING, CLOCK_TRAINING
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
from trust.attacks.kills import (
    KILLS_FINETUNE,
    KILLS_PRETRAINING,
    KILLS_SAVE,
    KILLS_SERIES,
    KILLS_TEXT,
    SIGNALS_PRETRAIN,
    SIGNALS_TRAIN,
)
from trust.attacks.limits import DISK_FULL, DISK_FULL_TMPFS, DISK_FULL_TRAINING, LITTLE_MEMORY, READ_ONLY
from trust.attacks.numbers import DIGITS, EQUAL_BITS, NUMBERS
from trust.attacks.server import (
    SERVER_DRAIN,
    SERVER_OVERLOAD,
    SERVER_REQUESTS,
    SERVER_SCHEMA,
    SERVER_SLOW,
    SERVER_WORKERS,
)
from trust.attacks.wheels import EQUAL_WHEELS

ATTACKS = {
    attack.name: attack
    for attack in (
        MODEL_FOLDERS,
        PRETRAINED_FOLDERS,
        CHECKPOINTS,
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
        SIGNALS_TRAIN,
        SIGNALS_PRETRAIN,
        DISK_FULL,
        DISK_FULL_TRAINING,
        DISK_FULL_TMPFS,
        READ_ONLY,
        LITTLE_MEMORY,
        CLOCK_TRAINING,
        CLOCK_SERVING,
        NUMBERS,
        DIGITS,
        EQUAL_BITS,
        MANY_THREADS,
        FORKED,
        DATA_LOADER,
        CHANGING_ARRAYS,
        SERVER_REQUESTS,
        SERVER_SLOW,
        SERVER_OVERLOAD,
        SERVER_DRAIN,
        SERVER_WORKERS,
        SERVER_SCHEMA,
        EQUAL_WHEELS,
    )
}
