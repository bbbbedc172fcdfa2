"""Is this formula that answer? math-verify's comparison behind the evaluated-answer rule.

math-verify evaluates what it compares, so the question itself, boxed, equals the answer: `\\sum_{i=1}^{6} 7` is 42. A
policy finds that. The rule, decided on the parsed, unevaluated trees of both:

1. An answer does nothing that the expected answer does not do. Things done (`_operations`) are sums, products,
   integrals, limits, derivatives; arithmetic on two rational numbers (`6\\times 7`, `41+1`, `2\\cdot 3x`); functions of
   constants (`5!`, `\\sin 60^\\circ`, `|{-42}|`); joining and intersecting sets; adding and multiplying matrices; and
   what the parser carried out itself (`\\binom{9}{2}`, `\\gcd`, determinants). Numerals of several parts do nothing:
   fractions, decimals, percentages, mixed numbers, `3\\times 10^5`; nor do roots, powers, `e^2`, unions of intervals.
2. Where the expected answer's numbers are numerals (42, 1/2, 0.5, 3\\%), the answer's numbers are numerals or powers of
   numerals: `\\sqrt{1764}` and `\\log_2 8` are tasks.
3. `name = 42` is 42; `2x = 42` is a task. So is what holds names the expected answer does not: `42x/x`.
4. Numbers are exact: 0.333333 is not 1/3, also inside sets and formulas. A percent sign may be left out or added, like
   any other unit.

Runs in `MathPool`'s worker processes. May take unbounded time: the caller kills it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy
from math_verify import verify
from sympy import Add, And, Expr, Float, MatrixBase, MatrixExpr, Mul, Number, Pow, Rational, Symbol
from sympy.core.expr import UnevaluatedExpr
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from components.reward.answers import same_number
from components.reward.latex import Formula, read

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that we do its timeouts ourselves
logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)

_TASKS = (
    sympy.Sum,
    sympy.Product,
    sympy.Integral,
    sympy.Limit,
    sympy.Derivative,
    sympy.Max,
    sympy.Min,
    sympy.Mod,
    sympy.Intersection,
    sympy.MatAdd,
    sympy.Transpose,
    sympy.Inverse,
    sympy.Determinant,
    sympy.Trace,
)
# One may be written with another: cot 70° is tan 20°, arsinh 1 is ln(1+√2). `exp` alone is a way to write a number.
_FAMILIES = {
    **dict.fromkeys(("sin", "cos", "tan", "cot", "sec", "csc", "exp"), "trigonometric"),
    **dict.fromkeys(("asin", "acos", "atan", "acot", "asec", "acsc"), "inverse trigonometric"),
    **dict.fromkeys(("log", "asinh", "acosh", "atanh"), "logarithm"),
}
_CONTAINERS = (sympy.FiniteSet, sympy.Interval, sympy.Tuple, sympy.Union, sympy.Intersection, Relational)
_COLLECTIONS = (sympy.FiniteSet, sympy.Interval, sympy.Tuple, sympy.Union, MatrixBase)
_PERCENT = UnevaluatedExpr(Rational(1, 100))
_BASE = re.compile(r"[0-9A-F]\)?_\{?(?:\\text\{)?([0-9]+)\}*$")
_COUNTED = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{ ?([+-]?[0-9][0-9,./]*) ((?!or |and |to )[A-Za-z][A-Za-z' -]*)}")
_POINTS = [Rational(numerator, 1009) for numerator in (1373, 2053, 3001, 701, 4447, 5209, 1811, 911)]
_APART = 1e-9  # relative difference from which two values of 15 digits are two numbers


def compare(gold: str, answer: str) -> str:
    """`correct`, `wrong`, `unparsable` or `timeout` (of memory) for a box's content against the expected answer."""
    try:
        return _compare(gold, answer)
    except (MemoryError, RecursionError):
        return "timeout"


def _compare(gold: str, answer: str) -> str:
    expected, formula = _expected(gold), _read(answer)
    if formula is None or expected is None:
        return "unparsable"
    given, truth = formula.tree, expected.tree
    if _is_relation(given) and not _is_relation(truth) and not isinstance(truth, sympy.Set):
        given = _answer_side(given)
    elif _is_relation(truth) and not _is_relation(given) and not isinstance(given, sympy.Set):
        truth = _answer_side(truth)
    if given is None or truth is None:
        return "wrong"
    if not _operations(Formula(given, formula.evaluated)) <= expected.operations or _other_base(gold, answer):
        return "wrong"
    if isinstance(given, Expr) and not given.is_Symbol and isinstance(truth, Expr) and (
        not _symbols(given) <= _symbols(truth)
    ):
        return "wrong"                       # 42x/x; a text is one symbol, which math-verify compares as a text
    given = given.doit() if isinstance(given, MatrixExpr) else given  # half a matrix is a matrix
    if expected.numeric and not all(_numeral(leaf) is not None or leaf.is_Symbol for leaf in _leaves(given)):
        return "wrong"
    if isinstance(given, _COLLECTIONS) != isinstance(truth, _COLLECTIONS) and not (
        _is_relation(given) or _is_relation(truth)
    ):
        return "wrong"  # math-verify takes {42} for 42
    exact, given_exact = _numeral(truth), _numeral(given)
    if exact is not None and given_exact is not None:
        equal = same_number(exact, _is_percentage(truth), given_exact, _is_percentage(given))
        return "correct" if equal else "wrong"
    truth, given = _exact_decimals(truth), _exact_decimals(given)
    if _apart(truth, given):  # most wrong answers, without algebra
        return "wrong"
    same = _same_polynomial(truth, given) or verify(truth, given, allow_set_relation_comp=True, timeout_seconds=None)
    return "correct" if same else "wrong"


def _read(text: str) -> Formula | None:
    return read(_COUNTED.sub(r"\1\\text{ \2}", text))  # \text{42 apples} is 42 with a unit, not a word


@dataclass(frozen=True)
class _Expected:
    tree: Any
    operations: frozenset[str]
    numeric: bool  # its numbers are numerals


@lru_cache(maxsize=4096)
def _expected(gold: str) -> _Expected | None:
    formula = _read(gold)  # a group of completions asks about the same one
    if formula is None:
        return None
    side = _answer_side(formula.tree) if _is_relation(formula.tree) else formula.tree
    numeric = side is not None and all(_numeral(leaf) is not None for leaf in _leaves(side))
    return _Expected(formula.tree, _operations(formula), numeric)


def _operations(formula: Formula) -> frozenset[str]:
    """What an answer does beside standing for something (rule 1)."""
    found = set(formula.evaluated)
    for node in _nodes(formula.tree):
        if isinstance(node, _TASKS):
            found.add(type(node).__name__)
        elif isinstance(node, Add | Mul):
            if _combines(node):
                found.add("arithmetic")
        elif isinstance(node, sympy.Union | sympy.Complement):
            if sum(isinstance(part, sympy.FiniteSet) for part in node.args) > 1:
                found.add("sets")
        elif isinstance(node, sympy.MatMul | sympy.MatPow):
            if len(node.args) != sum(isinstance(part, Expr) and not part.is_Matrix for part in node.args) + 1:
                found.add("matrices")
        elif isinstance(node, sympy.Function) and not node.free_symbols and not isinstance(node, sympy.exp):
            name = type(node).__name__
            found.add(_FAMILIES.get(name, name))
    if formula.tree.has(sympy.exp):
        found.add("exp")
    return frozenset(found)


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


def _symbols(tree: Any) -> set[str]:
    return {symbol.name for symbol in tree.free_symbols}


def _is_relation(tree: Any) -> bool:
    return isinstance(tree, Relational) or (isinstance(tree, And) and all(map(_is_relation, tree.args)))


def _answer_side(tree: Any) -> Any:
    """The right side of `x = 42`, `f(2) = 42`, `6\\times 7 = 42`; None of `2x = 42` and of what is no equation."""
    last = tree._unsorted_args[-1] if isinstance(tree, And) else tree  # a chain, in the order it was written
    if not isinstance(last, sympy.Equality):
        return None
    left = last.lhs
    if last.rhs.is_Symbol and not left.free_symbols:
        return left
    named = isinstance(left, AppliedUndef) or not left.free_symbols or not left.atoms(Number)
    return last.rhs if named else None


def _other_base(gold: str, answer: str) -> bool:
    """Both name the base of their digits, and not the same; the parser drops such subscripts."""
    base, given = _BASE.search(gold.strip(" $.")), _BASE.search(answer.strip(" $."))
    return base is not None and given is not None and base[1] != given[1]


def _combines(node: Any) -> bool:
    """A sum or product of two rational numbers that is no numeral of several parts."""
    if _numeral(node) is not None:
        return False
    parts = [part for part in _flat(node, type(node)) if isinstance(part, Rational | Float)]
    return len([part for part in parts if isinstance(node, Add) or part != -1]) > 1  # -1 in a product is a sign


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
    if second == _PERCENT and one is not None:
        return one / 100
    if one is None or other is None:
        return None
    scientific = first == -1 or (isinstance(second, Pow) and second.base == 10)
    quotient = any(isinstance(part, Pow) and part.exp == -1 for part in (first, second))
    return one * other if scientific or quotient else None


def _is_percentage(tree: Any) -> bool:
    return isinstance(tree, Mul) and _PERCENT in tree.args


def _exact_decimals(tree: Any) -> Any:
    """`tree` with fractions in place of decimals, which math-verify would round."""
    decimals = tree.atoms(Float)
    return tree.xreplace({decimal: Rational(str(decimal)) for decimal in decimals}) if decimals else tree


def _same_polynomial(one: Any, other: Any) -> bool:
    """Equal after multiplying out: a hundredth of what simplifying costs."""
    return isinstance(one, Expr) and isinstance(other, Expr) and sympy.expand(one - other) == 0


def _apart(one: Any, other: Any) -> bool:
    """Do two expressions surely differ, because they do in one point?"""
    for tree in (one, other):  # math-verify compares names and relations by rules of their own
        if not isinstance(tree, Expr) or isinstance(tree, Symbol) or tree.is_Matrix or tree.has(*_TASKS):
            return False
    names = sorted({symbol.name for symbol in one.free_symbols | other.free_symbols})
    if len(names) > len(_POINTS):
        return False
    points = dict(zip(names, _POINTS, strict=False))
    try:
        first, second = (
            complex(tree.evalf(15, subs={symbol: points[symbol.name] for symbol in tree.free_symbols}))
            for tree in (one, other)
        )
    except (TypeError, ValueError, ArithmeticError):  # a function without a name, a pole
        return False
    return abs(first - second) > _APART * max(1e-9, abs(first), abs(second))  # never true of infinity or nan
