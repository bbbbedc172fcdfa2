"""Problems from files and Hugging Face datasets.

Each source yields `Candidate`s: a problem with the part its prompt belongs to, or the reason why a row is none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.config import ConfigError
from components.data.problems.config import DatasetSource, FileSource
from components.problems import CodeProblem, MathProblem, TestCase, parse_problem


@dataclass(frozen=True)
class Candidate:
    """One row of a source. `problem` is None for a row that cannot be used; `reason` and `detail` then say why."""

    where: str
    part: str = "train"
    problem: MathProblem | CodeProblem | None = None
    reason: str = ""
    detail: str = ""


class BadRowError(ValueError):
    """A row that is no problem: (reason, detail)."""


def prompt_key(prompt: str) -> str:
    """The prompt without differences of case and white space; signs and digits count."""
    return " ".join(prompt.casefold().split())


def part_of(prompt: str, evaluation_share: float) -> str:
    """Which part a prompt belongs to: the same prompt goes to the same part in every source and run."""
    value = int.from_bytes(hashlib.sha256(prompt_key(prompt).encode()).digest()[:6], "big") / 2**48
    return "evaluation" if value < evaluation_share else "train"


def read_files(source: FileSource) -> Iterator[Candidate]:
    """Problems of a JSONL file or of a folder of them.

    Raises:
        ConfigError: there is no such file, or the folder holds no *.jsonl.
    """
    path = Path(source.path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ConfigError(f"problems.files {source.name!r}: {path} is no JSONL file and no folder of *.jsonl")
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{source.name}:{file.name}:{number}"
                if not line.strip():
                    continue
                try:
                    problem = parse_problem(line).model_copy(update={"source": source.name})
                except (ValidationError, ValueError) as error:
                    yield Candidate(where, reason="invalid", detail=str(error))
                    continue
                yield Candidate(where, part_of(problem.prompt, source.evaluation_share), problem)


def read_dataset(source: DatasetSource) -> Iterator[Candidate]:
    """Problems of a Hugging Face dataset, a local folder or a hub name.

    Raises:
        ConfigError: the dataset cannot be opened or lacks a mapped column; lists the columns it has.
    """
    import datasets  # slow to import, and only needed here

    try:
        rows = datasets.load_dataset(source.path, source.subset, split=source.split)
    except Exception as error:   # a library that raises anything for a wrong name, split or file
        raise ConfigError(f"problems.datasets {source.name!r}: cannot read {source.path!r}: {error}") from error
    wanted = [source.prompt, *([source.answer] if source.kind == "math" else [source.tests])]
    wanted += [source.golden] if source.golden else []
    missing = [column for column in wanted if column not in rows.column_names]
    if missing:
        raise ConfigError(
            f"problems.datasets {source.name!r}: no column {', '.join(missing)}; it has {', '.join(rows.column_names)}"
        )
    for number, row in enumerate(rows):
        if number == source.limit:
            return
        where = f"{source.name}:{number}"
        try:
            problem = _math(source, row) if source.kind == "math" else _code(source, row)
        except BadRowError as error:
            yield Candidate(where, reason=error.args[0], detail=error.args[1])
            continue
        yield Candidate(where, part_of(problem.prompt, source.evaluation_share), problem)


def _math(source: DatasetSource, row: Mapping[str, Any]) -> MathProblem:
    prompt, answer = _text(row, source.prompt), _text(row, source.answer)
    if source.answer_pattern:
        match = re.search(source.answer_pattern, answer)
        if not match:
            raise BadRowError("no_answer", f"{source.answer_pattern!r} finds nothing in {answer[-200:]!r}")
        answer = match.group(1).strip()
    return MathProblem(id=_id(source, prompt), source=source.name, prompt=prompt, answer=answer)


def _code(source: DatasetSource, row: Mapping[str, Any]) -> CodeProblem:
    prompt = _text(row, source.prompt)
    tests = _tests(row[source.tests])
    golden = str(row[source.golden] or "") if source.golden else ""
    return CodeProblem(id=_id(source, prompt), source=source.name, prompt=prompt, tests=tests, golden=golden)


def _tests(value: Any) -> tuple[TestCase, ...]:
    """`[{"input": …, "output": …}, …]` or `{"inputs": […], "outputs": […]}`, also as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadRowError("invalid_tests", f"not JSON: {error}") from None
    if isinstance(value, Mapping):
        inputs, outputs = value.get("inputs", value.get("input")), value.get("outputs", value.get("output"))
        if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
            raise BadRowError("invalid_tests", "inputs and outputs must be two lists of the same length")
        pairs = list(zip(inputs, outputs, strict=True))
    elif isinstance(value, list) and all(isinstance(test, Mapping) and "input" in test for test in value):
        pairs = [(test["input"], test.get("output", test.get("expected"))) for test in value]
    else:
        raise BadRowError("invalid_tests", f"neither a list of tests nor inputs and outputs: {value!r:.200}")
    if not pairs:
        raise BadRowError("no_tests", "")
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise BadRowError("invalid_tests", "inputs and outputs must be text")
    return tuple(TestCase(input=given, expected=expected) for given, expected in pairs)


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    text = str(value).strip() if value is not None else ""
    if not text:
        raise BadRowError("empty", f"column {column!r} is empty")
    return text


def _id(source: DatasetSource, prompt: str) -> str:
    name = hashlib.sha256(f"{source.name}\0{prompt}".encode()).hexdigest()[:12]
    return f"{source.kind}-{name}"
