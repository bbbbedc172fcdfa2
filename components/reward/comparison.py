"""Is an output the expected one? Runs in the supervisor, on bytes and JSON values; pure functions.

- text    equal up to whitespace at the ends of lines and empty lines at the end
- values  equal as JSON: a number is a number (2 equals 2.0), but true is not 1, and NaN is no JSON
- with a `Tolerance`, numbers may be off, everything else may not
"""

from __future__ import annotations

import json
import re
from typing import Any

from components.problems import Tolerance

EXACT = Tolerance()
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def same_output(output: bytes, expected: bytes, tolerance: Tolerance = EXACT) -> bool:
    """Compare text; with a tolerance, line by line and word by word."""
    lines, right = _lines(output), _lines(expected)
    if lines == right:
        return True
    if tolerance == EXACT or len(lines) != len(right):
        return False
    return all(_same_words(line.split(), other.split(), tolerance) for line, other in zip(lines, right, strict=True))


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _same_words(words: list[bytes], right: list[bytes], tolerance: Tolerance) -> bool:
    return len(words) == len(right) and all(
        word == other or (_NUMBER.fullmatch(word) and _NUMBER.fullmatch(other) and _near(word, other, tolerance))
        for word, other in zip(words, right, strict=True)
    )


def _near(number: Any, expected: Any, tolerance: Tolerance) -> bool:
    try:
        value, right = float(number), float(expected)
    except OverflowError:  # an integer no float can hold
        return bool(number == expected)
    return abs(value - right) <= max(tolerance.absolute, tolerance.relative * abs(right))  # false of infinities


def read_value(output: bytes) -> tuple[bool, Any]:
    """(whether it is one JSON value, the value); a program may have written anything."""
    try:
        return True, json.loads(output, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def same_value(value: Any, expected: Any, tolerance: Tolerance = EXACT) -> bool:
    """Compare JSON values."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(
            same_value(one, other, tolerance) for one, other in zip(value, expected, strict=True)
        )
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(
            same_value(value[key], expected[key], tolerance) for key in expected
        )
    if isinstance(value, int | float) and isinstance(expected, int | float):
        return value == expected or (tolerance != EXACT and _near(value, expected, tolerance))
    return type(value) is type(expected) and bool(value == expected)
