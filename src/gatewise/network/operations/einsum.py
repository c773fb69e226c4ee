"""Einsum (ONNX 12)."""

import re
from dataclasses import dataclass
from string import ascii_letters

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.network.size import Dim
from gatewise.types import Array

_TERM = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
_EQUATION = re.compile(rf"{_TERM}(,{_TERM})*(->{_TERM})?")


@dataclass(frozen=True)
class Einsum(Operation):
    """The sum of products that the equation says, as `numpy.einsum`, such as "bij,bjk->bik". An ellipsis stands for the
    same axes in all terms that have it. A letter has one size: size 1 is not broadcast.
    """

    formal = ("Inputs",)
    variadic = True
    equation: str

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        self.require_float(*inputs)
        terms, output = self._terms([len(value_type.shape) for value_type in inputs])
        sizes: dict[str, Dim] = {}
        for term, value_type in zip(terms, inputs, strict=True):
            for letter, size in zip(term, value_type.shape, strict=True):
                fits = sizes.setdefault(letter, size) == size
                shapes = " and ".join(shown(other.shape) for other in inputs)
                self.require(fits, f"the shapes {shapes} do not fit {self.equation}")
        return (ValueType("float", tuple(sizes[letter] for letter in output)),)

    def forward(self, execution: Execution, *inputs: Array) -> Computed:
        terms, output = self._terms([x.ndim for x in inputs])

        def backward(grad: Array) -> tuple[Array, ...]:
            grads = []
            for number, (term, x) in enumerate(zip(terms, inputs, strict=True)):
                factors = [grad, *inputs[:number], *inputs[number + 1 :]]
                of_factors = [output, *terms[:number], *terms[number + 1 :]]
                grads.append(_exchanged(of_factors, factors, term, x))
            return tuple(grads)

        # A term may be a view of an input, and the output an array of its own is the safe choice.
        return (np.array(_einsum(terms, output, inputs)),), backward

    def without_ellipses(self, ranks: list[int]) -> str:
        """The equation for inputs of these ranks, with letters in place of ellipses, and with an output."""
        terms, output = self._terms(ranks)
        return f"{','.join(terms)}->{output}"

    def _terms(self, ranks: list[int]) -> tuple[list[str], str]:
        """The letters of the axes of each input, of these ranks, and of the output, without ellipses."""
        equation = self.equation.replace(" ", "")
        self.require(_EQUATION.fullmatch(equation) is not None, f"{self.equation} is no equation of letters")
        left, arrow, output = equation.partition("->")
        terms = left.split(",")
        self.require(len(terms) == len(ranks), f"{self.equation} has {len(terms)} terms for {len(ranks)} inputs")
        if not arrow:
            once = [letter for letter in sorted({*left} - {*",."}) if left.count(letter) == 1]
            output = ("..." if "..." in left else "") + "".join(once)
        hidden = {rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term}
        self.require(len(hidden) <= 1, f"the ellipses of {self.equation} stand for different axes")
        free = [letter for letter in ascii_letters if letter not in equation]
        number = hidden.pop() if hidden else 0
        self.require(0 <= number <= len(free), f"the inputs have too few or too many axes for {self.equation}")
        ellipsis = "".join(free[:number])
        terms = [term.replace("...", ellipsis) for term in terms]
        output = output.replace("...", ellipsis)
        for term, rank in zip(terms, ranks, strict=True):
            self.require(len(term) == rank, f"{self.equation} does not fit an input with {rank} axes")
        known = len(set(output)) == len(output) and set(output) <= set("".join(terms))
        self.require(known, f"each letter of the output of {self.equation} must stand there once and in a term")
        return terms, output


def _einsum(terms: list[str], output: str, factors: tuple[Array, ...] | list[Array]) -> Array:
    result: Array = np.einsum(f"{','.join(terms)}->{output}", *factors, optimize=len(factors) > 1)
    return result


def _exchanged(terms: list[str], factors: list[Array], term: str, x: Array) -> Array:
    """The gradient of x, which has the letters `term`: the equation with the output in place of x."""
    letters = "".join(dict.fromkeys(term))
    # A letter that no factor has was summed: its gradient is the same along that axis.
    present = "".join(letter for letter in letters if any(letter in other for other in terms))
    summed = _einsum(terms, present, factors)
    shape = tuple(x.shape[term.index(letter)] if letter in present else 1 for letter in letters)
    if not term:
        return np.asarray(summed)
    dx = np.zeros_like(x)
    # Of a letter that stands twice the input is read on the diagonal, of which this is a view.
    diagonal = np.einsum(f"{term}->{letters}", dx)
    diagonal[...] = summed.reshape(shape)
    return dx
