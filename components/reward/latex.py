"""LaTeX to a tree that is evaluated as little as the parser allows, and what it evaluated all the same.

`latex2sympy2_extended` (the parser behind math-verify) reads a formula in two steps: ANTLR's parse tree, then a SymPy
tree. Most of the second stays unevaluated; some operations it carries out at once, so that `\\binom{9}{2}` arrives as
36. The reader here notes those by name while the parse tree is walked, because the rule of `formulas.py` needs to know.

It also parses in two stages, as ANTLR's own book advises: with the cheap prediction first, which gives the right tree
or an error, and with the full one only after an error. That is most of the time of a verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from antlr4 import PredictionMode
from latex2sympy2_extended import normalize_latex
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy
from math_verify import LatexExtractionConfig
from math_verify.grader import should_treat_as_complex
from math_verify.parser import get_last_eq
from sympy import Basic, E, Float, Integer, MatrixBase, exp

from components.reward.answers import without_recurring

_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_NORMALISATION = replace(LatexExtractionConfig().normalization_config, boxed="none")

# x^2 is {x}^2; the cheap prediction takes the letter for the start of x_1^2
_LETTER_POWER = re.compile(r"\\[A-Za-z]+|([A-Za-df-z])(?=\s*\^)")


@dataclass(frozen=True)
class Formula:
    """A parsed formula: its tree, and the names of operations that the parser carried out itself."""

    tree: Any
    evaluated: frozenset[str]


def read(latex: str) -> Formula | None:
    """The formula that `latex` (an answer, without a box around it) stands for; None if it stands for none.

    Of a chain of equations too long to be read whole, the last side. May take unbounded time and memory.
    """
    text = normalize_latex(without_recurring(latex), _NORMALISATION)
    for part in dict.fromkeys((text, get_last_eq(text))):
        is_real = not should_treat_as_complex(part)
        for mode, form in ((PredictionMode.SLL, _LETTER_POWER.sub(_braced, part)), (PredictionMode.LL, part)):
            reader = _Reader(mode, is_real)
            try:
                tree = reader.parse(form)
            except (MemoryError, RecursionError):
                raise
            except Exception:  # the parser's own errors are bare Exceptions
                continue
            return Formula(tree, frozenset(reader.evaluated)) if isinstance(tree, Basic | MatrixBase) else None
    return None


def _braced(match: re.Match[str]) -> str:
    return f"{{{match[1]}}}" if match[1] else match[0]


class _Reader(_Latex2Sympy):
    def __init__(self, mode: PredictionMode, is_real: bool) -> None:
        super().__init__(is_real=is_real)
        self._mode = mode
        self.evaluated: set[str] = set()

    def create_parser(self, latex_str: str) -> Any:
        parser = super().create_parser(latex_str)
        parser._interp.predictionMode = self._mode
        return parser

    def parse_number(self, text: str) -> Any:
        digits = text.replace(",", "")
        if _DECIMAL.fullmatch(digits):   # without sympify, which compiles and runs a program for each number
            return Float(digits) if "." in digits else Integer(int(digits))
        return super().parse_number(text)

    def convert_binom(self, binom: Any) -> Any:
        self.evaluated.add("binomial")
        return super().convert_binom(binom)

    def handle_gcd_lcm(self, f: str, args: Any) -> Any:
        self.evaluated.add(f)
        return super().handle_gcd_lcm(f, args)

    def handle_exp(self, func: Any) -> Any:
        result = super().handle_exp(func)
        if result != E and not isinstance(result, exp):  # e^{\ln 42}
            self.evaluated.add("exp")
        return result

    def convert_comp(self, comp: Any) -> Any:
        if comp.det() or comp.norm_group():
            self.evaluated.add("det" if comp.det() else "norm")
        return super().convert_comp(comp)

    def convert_elementary_transform(self, matrix: Any, transform: Any) -> Any:
        self.evaluated.add("row operations")
        return super().convert_elementary_transform(matrix, transform)

    def convert_postfix(self, postfix: Any) -> Any:
        if any(op.eval_at() or op.transpose() for op in postfix.postfix_op()):
            self.evaluated.add("substitution")
        return super().convert_postfix(postfix)

    def convert_func(self, func: Any) -> Any:
        head = func.func_normal_single_arg() or func.func_normal_multi_arg()
        name = head.start.text[1:] if head else ""
        if name == "operatorname":
            name = head.func_operator_name.getText()
            self.evaluated.add(name)
        elif name in ("det", "Gamma", "gamma"):
            self.evaluated.add(name)
        return super().convert_func(func)
