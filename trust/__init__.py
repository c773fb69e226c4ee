"""Attacks on what gatewise promises, and the table of their results (docs/trust.md).

    python -m trust                          run all attacks with their full counts; continues where it stopped
    python -m trust model-folders --seed 7   run one attack with a seed
    python -m trust model-folders --seed 7 --try 31   repeat one try
    python -m trust --table                  write the table of docs/trust.md from trust/results.jsonl

Each try draws from a generator of its own, seeded with the attack's seed and the number of the try. It runs in a child
process with limits on memory and time, so a crash or a hang is a failure of that try.
"""
