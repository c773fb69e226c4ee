"""The n-grams' part of an account. They are added to the network's logit, so their account is added to the network's.

    running        what the n-grams add that are complete with this word: it telescopes, as the running logit does
    shared         each n-gram's weight in equal parts to its occurrences, and of each to its words (cell, gradients)
    left-out       what they add less what they add to the text without this word; like its method it need not add up

The n-grams read the whole text. Of a text that the network cuts, the words that it does not read have their n-grams'
part all the same; it is summed up beside the scores (`unread`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gatewise.explain.attribution.method import Attribution, Beside, Example, Method
from gatewise.explain.net import ExplainedNetwork
from gatewise.metrics.evaluation import target_score
from gatewise.network.ngrams import Ngrams

__all__ = ["attributions_of", "ngrams_note"]


def attributions_of(
    net: ExplainedNetwork, method: Method, readings: Sequence[Example], channels: bool = False
) -> list[Attribution]:
    """One account a reading of the network and the n-grams beside it, if there are any."""
    ngrams = net.ngrams
    if ngrams is None or method.beside == "within":
        return method.accounts(net, readings, channels)
    added = ngrams.logits([reading.sequence for reading in readings])
    of_network = [
        replace(reading, logits=reading.logits - logits, explained=reading.predicted)
        for reading, logits in zip(readings, added, strict=True)
    ]
    accounts = method.accounts(net.alone(), of_network, channels)
    return [_with(ngrams, method.beside, one, of) for one, of in zip(accounts, readings, strict=True)]


def ngrams_note(net: ExplainedNetwork, method: Method) -> str:
    """What the method's sentence does not say: how it accounts for the n-grams. Nothing where there are none."""
    return "" if net.ngrams is None else _NOTES[method.beside].format(token_noun=net.token_noun)


_NOTES: dict[Beside, str] = {
    "running": " Of the n-grams beside the network each is booked, once, with the {token_noun} that completes it.",
    "shared": " The weight of each n-gram is added in equal parts to its {token_noun}s.",
    "left-out": " The n-grams are counted anew as well.",
    "within": "",
}


def _with(ngrams: Ngrams, beside: Beside, account: Attribution, reading: Example) -> Attribution:
    sequence, rows, unread = reading.sequence, reading.rows, 0.0
    if beside == "left-out":
        shares = ngrams.logits([sequence]) - ngrams.without_each(sequence, rows)  # (T, outputs)
    else:
        running = beside == "running"
        every = np.diff(ngrams.running(sequence), axis=0, prepend=0) if running else ngrams.account(sequence)
        shares = every[rows]
        unread = float(target_score(np.delete(every, rows, axis=0), reading.predicted).sum())
    scores = np.asarray(target_score(shares, reading.predicted))
    return account._replace(scores=account.scores + scores, ngrams=scores, unread=unread)
