"""`Ensemble`: the weighted sum of the members of a model.

    logit = Σ_m weight_m logit_m + shift

It predicts, and it is explained: an attribution is the same sum over the attributions of the members
(`gatewise.explain`). The weights are stored as numbers. A member of weight 0 is not run for a prediction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.encoded_batch import Encoded, lengths_of
from gatewise.members.kinds import kind_named
from gatewise.members.lstm import LSTM
from gatewise.members.member import Inputs, Member
from gatewise.members.network import Network
from gatewise.ragged import Ragged
from gatewise.target import Target
from gatewise.target.crf import Transitions
from gatewise.types import Array

_MAX_MEMBERS = 64
_SMALL_WEIGHT = 0.25  # of the LSTM, as a share of the sum of all weights


@dataclass(frozen=True, eq=False)
class Ensemble:
    """members, one of them a `Network`; weights: one finite number per member; shift: (outputs,) float64; target: what
    is predicted. Raises InputError where these do not fit together.
    """

    members: tuple[Member, ...]
    weights: tuple[float, ...]
    shift: Array
    target: Target

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if sum(isinstance(member, Network) for member in self.members) != 1:
            raise InputError("an ensemble needs exactly one LSTM")
        if len(self.weights) != len(self.members) or not np.isfinite(self.weights).all():
            raise InputError(f"there must be {len(self.members)} finite weights, one per member")
        if self.target.outputs != self.network.outputs:
            raise InputError(
                f"{self.target.task} with {len(self.target.classes)} classes needs {self.target.outputs} outputs; the "
                f"network has {self.network.outputs}"
            )
        self.network.check_target(self.target)
        object.__setattr__(self, "target", self.target.with_transitions(self.transitions))
        for member in self.members:
            if member.outputs != self.target.outputs:
                raise InputError(f"{member.noun}: {member.outputs} logits, the model has {self.target.outputs}")
        if self.shift.shape != (self.target.outputs,) or not np.isfinite(self.shift).all():
            raise InputError(f"the shift must be {self.target.outputs} finite numbers")

    @classmethod
    def of(cls, network: Network, target: Target) -> Ensemble:
        """The network alone, with weight 1."""
        return cls((network,), (1.0,), np.zeros(target.outputs), target)

    @property
    def transitions(self) -> Transitions | None:
        """Σ_m weight_m transitions_m of the members that have some, as their logits are summed; None without any."""
        total: Transitions | None = None
        for member, weight in self:
            if member.transitions is None:
                continue
            of_member = member.transitions.scaled(weight)
            total = of_member if total is None else total + of_member
        return total

    @property
    def network(self) -> Network:
        """The member that can be traced and clamped."""
        return next(member for member in self.members if isinstance(member, Network))

    @property
    def lstm(self) -> LSTM:
        """The network as an `LSTM`. Raises InputError for another one."""
        network = self.network
        if not isinstance(network, LSTM):
            raise InputError(f"this needs an LSTM between embedding, pooling and dense layers, not a {network.noun}")
        return network

    @property
    def lstm_weight(self) -> float:
        """The weight of the network."""
        return next(weight for member, weight in self if isinstance(member, Network))

    @property
    def others(self) -> list[tuple[Member, float]]:
        """The members besides the network, with their weights."""
        return [(member, weight) for member, weight in self if not isinstance(member, Network)]

    def __iter__(self) -> Iterator[tuple[Member, float]]:
        """The members with their weights."""
        return zip(self.members, self.weights, strict=True)

    def __str__(self) -> str:
        """The weights in words: "LSTM 0.65, n-grams 0.27"."""
        return ", ".join(f"{name} {weight:.2f}" for name, weight in self.weight_rows())

    @property
    def token_noun(self) -> str:
        """The noun for one step: "word" or "step"."""
        return self.network.nouns.step

    def get(self, kind: str) -> Any:
        """The first member of a kind; None without one."""
        return next((member for member in self.members if member.kind == kind), None)

    @np.errstate(over="ignore", invalid="ignore")
    def logits(self, rows: Encoded) -> Any:
        """Logits (n, outputs) float64 of n rows, before truncation; of predictions per step `Ragged`, with values
        (N, outputs). The composition of a batch changes only the last bits. Weights that are too large can make
        them infinite or NaN (`gatewise.target.check_logits`).
        """
        weighted = [(member, weight) for member, weight in self if weight]
        total: Any = 0.0
        if not weighted:
            total = np.zeros((len(rows), 1))
        for member, weight in weighted:
            total = total + weight * member.logits(member.parts_of(rows))
        total = np.asarray(total + self.shift)
        if not self.target.per_step or not len(total):
            return total
        lengths = lengths_of(rows)
        if self.network.max_length:
            lengths = np.minimum(lengths, self.network.max_length)
        return Ragged(total, lengths)

    def with_lstm(self, **changes: Any) -> Ensemble:
        """This ensemble with other fields of its network: `parameters`, `storage`, `precision`, `clamps`, ..."""
        network = self.network
        changed = network.changed(**changes)
        members = [changed if member is network else member for member in self.members]
        return replace(self, members=tuple(members))

    def with_member(self, kind: str, member: Member | None) -> Ensemble:
        """This ensemble with another member in place of that of this kind; None: without it."""
        kept = [(member if one.kind == kind else one, weight) for one, weight in self]
        both = [(one, weight) for one, weight in kept if one is not None]
        return replace(self, members=tuple(one for one, _ in both), weights=tuple(weight for _, weight in both))

    def alone(self) -> Ensemble:
        """The network alone, with weight 1 and without the shift."""
        return Ensemble.of(self.network, self.target)

    def folded_parameters(self) -> dict[str, Array]:
        """The parameters of the LSTM with its weight and the shift multiplied into the dense layer, for formats of
        other libraries that have no ensemble.
        """
        parameters = dict(self.lstm.parameters)
        dense = parameters["dense.weight"].astype(np.float64)
        bias = parameters["dense.bias"].astype(np.float64)
        parameters["dense.weight"] = (self.lstm_weight * dense).astype(np.float32)
        parameters["dense.bias"] = (self.lstm_weight * bias + self.shift).astype(np.float32)
        return parameters

    def summary(self) -> list[tuple[str, str, int]]:
        """Name, output shape and number of parameters of each layer of each member."""
        return [row for member in self.members for row in member.summary()]

    def weight_rows(self) -> list[tuple[str, float]]:
        """The name and the weight of each member, for tables and JSON."""
        return [(member.name, weight) for member, weight in self]

    def weights_json(self) -> list[dict[str, Any]]:
        """`weight_rows` as plain data, the "members" of every JSON."""
        return [{"name": name, "weight": weight} for name, weight in self.weight_rows()]

    def lstm_note(self) -> str:
        """A sentence for readers of gates, heat maps and units, where the LSTM has a small weight or none; otherwise
        "".
        """
        if not self.lstm_weight:
            return "The LSTM has weight 0 in this model: its gates, heat maps and units do not change the prediction."
        if abs(self.lstm_weight) >= _SMALL_WEIGHT * sum(map(abs, self.weights)):
            return ""
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in self.weight_rows() if weight)
        return f"The LSTM has a small weight ({weights}): gates and units explain a small part of the prediction."

    def fingerprint(self) -> str:
        """Eight hexadecimal digits over target, members, weights and shift (SHA-256)."""
        digest = hashlib.sha256(repr((self.target, self.weights, self.shift.tolist())).encode("utf-8", "surrogatepass"))
        for member in self.members:
            digest.update(repr((member.kind, member.entry())).encode())
            for name, array in sorted(member.arrays().items()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # without a copy
        return digest.hexdigest()[:8]

    def member_names(self) -> list[str]:
        """The names of the files of the members: the kind, and from the second member of a kind on its number."""
        names = []
        counts: Counter[str] = Counter()
        for member in self.members:
            counts[member.kind] += 1
            if counts[member.kind] == 1:
                names.append(member.kind)
            else:
                names.append(f"{member.kind}-{counts[member.kind]}")
        return names

    def to_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The entries for config.json, and the files by name, one per member."""
        entries, files = [], {}
        for (member, weight), name in zip(self, self.member_names(), strict=True):
            entry, raw = member.to_file()
            file = f"{name}.safetensors"
            entries.append({"kind": member.kind, "file": file, "weight": weight, **entry})
            files[file] = raw
        return {"members": entries, "shift": self.shift.tolist()}, files

    @classmethod
    def from_files(
        cls, config: Mapping[str, Any], target: Target, inputs: Inputs, read: Callable[[str], bytes]
    ) -> Ensemble:
        """The ensemble that `to_files` wrote. inputs: what the preprocessor makes. read(name): the bytes of a file.
        Raises ModelFileError, and InputError for an entry of config.json.
        """
        entries = config["members"]
        shift = config["shift"]
        if not isinstance(entries, list) or not 1 <= len(entries) <= _MAX_MEMBERS:
            raise InputError(f"config.json: members must be a list of 1 to {_MAX_MEMBERS}")
        if not isinstance(shift, list) or not all(type(number) is float for number in shift):
            raise InputError("config.json: shift must be a list of numbers")
        members: list[Member] = []
        weights: list[float] = []
        files: set[str] = set()
        for entry in entries:
            if not isinstance(entry, dict) or not {"kind", "file", "weight"} <= set(entry):
                raise InputError("config.json: each member needs kind, file and weight")
            settings = dict(entry)
            kind = settings.pop("kind")
            file = settings.pop("file")
            weight = settings.pop("weight")
            member_class = kind_named(kind)
            if type(weight) is not float or not isinstance(file, str):
                raise InputError(f"config.json: member {quote(kind)}: weight must be a number and file a name")
            is_network = issubclass(member_class, Network)
            is_second = is_network and any(isinstance(member, Network) for member in members)
            if file in files or is_second:
                raise InputError("config.json: each member needs a file of its own, and there can be one LSTM only")
            files.add(file)
            members.append(member_class.from_file(settings, read(file), inputs, target.outputs, file))
            weights.append(weight)
        return cls(tuple(members), tuple(weights), np.array(shift, dtype=np.float64), target)
