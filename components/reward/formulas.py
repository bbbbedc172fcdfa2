"""Is this formula that answer? math-verify's comparison behind the evaluated-answer rule.

math-verify evaluates what it compares, so the question itself, boxed, equals the answer: `\\sum_{i=1}^{6} 7` is 42. A
policy finds that. The rule, decided on the unevaluated tree of the answer:

1. No sum, product, integral, limit or derivative, unless the expected answer holds one.
2. No sum or product of two rational numbers (`6\\times 7`, `41+1`, `2\\cdot 3x`), unless the expected answer holds one.
   Numerals of several parts are no products: fractions, decimals, percentages, mixed numbers, `3\\times 10^5`.
3. Where the expected answer's numbers are numerals (42, 1/2, 0.5, 3\\%), the answer's numbers are numerals or powers
   of numerals; anything with a function in it (`\\binom{4}{2}`, `\\gcd`, `5!`, `|{-42}|`, `\\sqrt{1764}`) is a task.
4. Two numerals are compared exactly: 0.333333 is not 1/3.

Runs in `MathPool`'s worker processes. May take unbounded time: the caller kills it.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Add, Basic, Derivative, Float, Integral, Limit, MatrixBase, Mul, Pow, Product, Rational, Sum
from sympy.core.expr import UnevaluatedExpr
from sympy.core.relational import Relational

logging.getLogger("math_verify").setLevel(logging.ERROR)     # it warns that we do its timeouts ourselves
logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)

_TASKS = (Sum, Product, Integral, Limit, Derivative)
# the parser evaluates these itself, so they must be seen in the text
_EVALUATED = re.compile(r"\\(?:[dt]?binom|gcd|lcm|max|min|[bp]?mod|choose|det)(?![A-Za-z])|\\operatorname")
_CONTAINERS = (sympy.FiniteSet, sympy.Interval, sympy.Tuple, sympy.Union, sympy.Intersection, Relational)
_COLLECTIONS = (sympy.FiniteSet, sympy.Interval, sympy.Tuple, sympy.Union, MatrixBase)
_EXTRACTION = [LatexExtractionConfig(boxed_match_priority=0)]


def compare(gold: str, answer: str) -> str:
    """`correct`, `wrong` or `unparsable` for an answer (a box's content) against the expected one."""
    expected, given = _expected(gold), _parse(answer)
    if given is None or expected is None:
        return "unparsable"
    if not _evaluated(given, expected) or (_EVALUATED.search(answer) and not _EVALUATED.search(gold)):
        return "wrong"
    if isinstance(given, _COLLECTIONS) != isinstance(expected, _COLLECTIONS):
        return "wrong"                       # math-verify takes {42} for 42
    exact, given_exact = _numeral(expected), _numeral(_right_side(given))
    if exact is not None and given_exact is not None:
        return "correct" if exact == given_exact else "wrong"
    return "correct" if verify(expected, given, timeout_seconds=None) else "wrong"


@lru_cache(maxsize=4096)
def _expected(gold: str) -> Any:
    return _parse(gold)                      # a group of completions asks about the same one


def _parse(text: str) -> Any:
    trees = parse(
        f"\\boxed{{{text}}}", _EXTRACTION, fallback_mode="no_fallback", extraction_mode="first_match",
        parsing_timeout=None,
    )
    return next((tree for tree in trees if isinstance(tree, Basic | MatrixBase)), None)


def _evaluated(given: Any, expected: Any) -> bool:
    """The rule above: is `given` an answer, not a task?"""
    expected_nodes = list(_nodes(expected))
    for node in _nodes(given):
        if isinstance(node, _TASKS) and not any(isinstance(other, type(node)) for other in expected_nodes):
            return False
        if _combines(node) and not any(_combines(other) for other in expected_nodes):
            return False
    if all(_numeral(leaf) is not None for leaf in _leaves(expected)):
        return all(_numeral(leaf) is not None or leaf.free_symbols for leaf in _leaves(_right_side(given)))
    return True


def _right_side(tree: Any) -> Any:
    """`x = 42` as an answer is 42."""
    return tree.rhs if isinstance(tree, sympy.Equality) and tree.lhs.is_Symbol else tree


def _nodes(tree: Any) -> Any:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack += list(node) if isinstance(node, MatrixBase) else list(node.args)


def _leaves(tree: Any) -> list[Any]:
    """The expressions inside sets, tuples, intervals, matrices and relations."""
    if isinstance(tree, MatrixBase):
        return [leaf for entry in tree for leaf in _leaves(entry)]
    if isinstance(tree, _CONTAINERS):
        inner = tree.args[:2] if isinstance(tree, sympy.Interval) else tree.args
        return [leaf for argument in inner for leaf in _leaves(argument)]
    return [tree]


def _combines(node: Any) -> bool:
    """A sum or product of two rational numbers that is no numeral of several parts."""
    if not isinstance(node, Add | Mul) or _numeral(node) is not None:
        return False
    parts = [part for part in _flat(node, type(node)) if isinstance(part, Rational | Float)]
    return len([part for part in parts if isinstance(node, Add) or part != -1]) > 1   # -1 in a product is a sign


def _flat(node: Any, kind: Any) -> list[Any]:
    return [part for argument in node.args for part in _flat(argument, kind)] if isinstance(node, kind) else [node]


def _numeral(node: Any) -> sympy.Rational | None:
    """The exact value of a numeral or a power of numerals; None for anything else."""
    if isinstance(node, Rational) and node.is_finite:
        return node
    if isinstance(node, Float):
        return Rational(str(node))
    if isinstance(node, Pow):
        base, exponent = _numeral(node.args[0]), node.args[1]
        if base is not None and exponent.is_Integer and abs(exponent) * (base.p * base.q).bit_length() <= 1 << 16:
            return base**exponent if base or exponent > 0 else None
        return None
    return _product(*node.args) if isinstance(node, Mul) and len(node.args) == 2 else None


def _product(first: Any, second: Any) -> sympy.Rational | None:
    """Percentages, fractions of decimals, scientific notation, a sign before a numeral."""
    one, other = _numeral(first), _numeral(second)
    if isinstance(second, UnevaluatedExpr) and second.args[0] == Rational(1, 100) and one is not None:
        return one / 100
    if one is None or other is None:
        return None
    scientific = first == -1 or (isinstance(second, Pow) and second.base == 10)
    quotient = any(isinstance(part, Pow) and part.exp == -1 for part in (first, second))
    return one * other if scientific or quotient else None
