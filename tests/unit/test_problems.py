"""Generated problems are right, graded and disjoint; problems of one's own are read or refused with a reason."""

import ast
import contextlib
import io
import json
from itertools import islice

import datasets
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import ConfigError, build
from components.data.problems import code, math
from components.data.problems.config import CODE_FAMILIES, MATH_GENERATORS, Config
from components.data.problems.selection import quotas, select
from components.problems import CodeProblem, MathProblem

SUM = {"generator": "chain_sum", "parameters": {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2}}
EQUATION = {
    "generator": "simple_equations",
    "parameters": {"min_terms": 2, "max_terms": 2, "max_value": 9, "operators_weights": [0.5, 0.5, 0.0]},
}
DIVISOR = {"generator": "gcd", "parameters": {"min_numbers": 2, "max_numbers": 2, "min_value": 2, "max_value": 40}}


def _run(program: str, problem: CodeProblem) -> list[bool]:
    """Which tests a program of our own passes, in this process."""
    passed = []
    for test in problem.tests:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, {"input": lambda text=test.input: text.rstrip("\n")})
        passed.append(out.getvalue() == test.expected)
    return passed


def test_families_of_the_config_are_the_generators():
    assert set(CODE_FAMILIES) == set(code.FAMILIES)


@pytest.mark.parametrize("generator", MATH_GENERATORS)
def test_every_allowed_generator_gives_the_same_stream_again_and_others_for_evaluation(generator):
    first, again = (list(islice(math.generate(generator, {}, 5, "train"), 8)) for _ in range(2))
    held_out = list(islice(math.generate(generator, {}, 5, "evaluation"), 8))
    assert first == again
    assert first != held_out


def test_gold_answers_agree_with_an_independent_oracle():
    for problem in islice(math.generate(SUM["generator"], SUM["parameters"], 1, "train"), 200):
        expression = problem.prompt.partition(": ")[2].removesuffix(" =")
        assert sympy.sympify(expression) == int(problem.answer)
    for problem in islice(math.generate(EQUATION["generator"], EQUATION["parameters"], 1, "train"), 100):
        left, right = problem.prompt.rpartition(": ")[2].split(" = ")
        assert sympy.solve(sympy.sympify(f"({left})-({right})", locals=_SYMBOLS)) == [int(problem.answer)]


_SYMBOLS = {letter: sympy.Symbol(letter) for letter in "abcdefghijklmnopqrstuvwxyz"}


@given(st.sampled_from([name for name in CODE_FAMILIES if name != "story"]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_golden_programs_pass_their_tests_and_wrong_constants_fail_one(family, seed):
    for problem in islice(code.generate(family, seed, "train"), 5):
        assert all(_run(problem.golden, problem)), problem
        constants = [node for node in ast.walk(ast.parse(problem.golden)) if isinstance(node, ast.Constant)]
        last = max(constants, key=lambda node: (node.lineno, node.col_offset))
        lines = problem.golden.splitlines()
        line = lines[last.lineno - 1]
        lines[last.lineno - 1] = f"{line[: last.col_offset]}{last.value + 50}{line[last.end_col_offset :]}"
        assert not all(_run("\n".join(lines), problem)), problem


def test_a_storys_tests_tell_its_program_from_those_of_all_other_stories():
    problems = list(islice(code.generate("story", 0, "train"), 200))
    goldens = {problem.golden for problem in problems}
    assert len(goldens) == len(code.QUESTIONS)
    for problem in problems:
        assert [golden for golden in goldens if all(_run(golden, problem))] == [problem.golden], problem


def test_tests_of_branches_are_graded():
    """The common branch alone passes the first two tests; a boundary that is off by one fails only at the boundary."""
    off_by_one = 0
    for problem in islice(code.generate("branch", 0, "train"), 200):
        read, program = problem.golden.split("\n")
        then, condition, otherwise = ast_parts(program)
        only_then = _run(f"{read}\nprint({then})", problem)
        assert only_then[:2] == [True, True], problem
        only_otherwise = _run(f"{read}\nprint({otherwise})", problem)
        assert only_otherwise[2:4] == [True, True], problem
        shifted = condition.replace(">=", "~").replace("<=", "!").replace(">", ">=").replace("<", "<=")
        shifted = shifted.replace("~", ">").replace("!", "<")
        passed = _run(f"{read}\nprint({then} if {shifted} else {otherwise})", problem)
        assert passed[:4] == [True] * 4, problem
        off_by_one += not all(passed)
    assert off_by_one > 180   # the two branches agree at the boundary only now and then


def ast_parts(program: str) -> tuple[str, str, str]:
    expression = ast.parse(program).body[0].value.args[0]
    return ast.unparse(expression.body), ast.unparse(expression.test), ast.unparse(expression.orelse)


@given(st.integers(0, 200), st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
def test_quotas_add_up_and_follow_the_weights(count, weights):
    sources = Config(math=[{**SUM, "weight": weight} for weight in weights], math_train=1).math
    shares = quotas(sources, count)
    assert sum(shares) == count
    assert all(abs(share - count * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))


@pytest.mark.parametrize("seed", [0, 7])
def test_evaluation_is_never_trained_on(seed):
    config = Config(
        seed=seed, math=[SUM, EQUATION, DIVISOR], math_train=1500, math_evaluation=300,
        code=[{"family": name} for name in CODE_FAMILIES], code_train=600, code_evaluation=100,
    )
    problems = select(config).problems
    assert len(problems["evaluation"]) == 400
    asked = {part: {_meaning(problem) for problem in problems[part]} for part in problems}
    assert asked["train"].isdisjoint(asked["evaluation"])
    for part in problems.values():
        assert len({problem.prompt for problem in part}) == len(part) == len({problem.id for problem in part})
    assert select(config).problems == problems


def _meaning(problem) -> str:
    """Independent of the code under test: equations for any letter are the same, so are divisors in any order."""
    if "equation" in problem.source:
        left, _, right = problem.prompt.rpartition(": ")[2].partition(" = ")
        letter = next(character for character in left if character.isalpha())
        return f"{left.replace(letter, '?')}={right}"
    if "gcd" in problem.source:
        return " ".join(sorted(word for word in problem.prompt.replace(",", " ").replace(".", " ").split()
                               if word.isdigit()))
    return problem.prompt


def test_a_small_generator_gives_what_it_has_and_says_so():
    one_digit = {"generator": "chain_sum", "parameters": dict.fromkeys(("min_digits", "max_digits"), 1)
                 | dict.fromkeys(("min_terms", "max_terms"), 2)}
    selection = select(Config(math=[one_digit], math_train=1000))
    found = len(selection.problems["train"])
    assert 150 < found <= 200   # ten times ten numbers, two signs
    assert selection.shortfall["train math[0] chain_sum"] == 1000 - found


def test_own_files_duplicates_and_bad_rows(tmp_path):
    def line(name, prompt):
        return MathProblem(id=name, source="x", prompt=prompt, answer="4").model_dump_json()

    rows = [line(f"m{n}", f"What is {n} + {n}?") for n in range(200)]
    rows += [line("again", "what  IS 3 + 3?"), '{"kind": "math", "id": "x"}', "not json", ""]
    rows.append(line("sign", "What is 3 - 3?"))
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))
    config = Config(files=[{"name": "mine", "path": str(tmp_path), "evaluation_share": 0.2}])
    selection = select(config)
    prompts = {part: {problem.prompt for problem in found} for part, found in selection.problems.items()}
    assert sum(map(len, prompts.values())) == 201            # signs matter: "3 - 3" is no copy of "3 + 3"
    assert 20 < len(prompts["evaluation"]) < 60
    reasons = [row["reason"] for part in selection.rejected.values() for row in part]
    assert sorted(reasons) == ["duplicate", "invalid", "invalid"]
    invalid = [row["where"] for row in selection.rejected["train"] if row["reason"] == "invalid"]
    assert invalid == ["mine:mine.jsonl:202", "mine:mine.jsonl:203"]


def test_the_same_prompt_in_two_sources_stays_in_evaluation(tmp_path):
    for name in ("a", "b"):
        prompts = ["0?", f"{name} 1?", f"{name} 2?"]
        rows = [MathProblem(id=name + prompt, source="", prompt=prompt, answer="1") for prompt in prompts]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(row.model_dump_json() for row in rows))
    files = [{"name": name, "path": str(tmp_path / f"{name}.jsonl"), "evaluation_share": share}
             for name, share in (("a", 0.0), ("b", 1.0))]
    selection = select(Config(files=files))
    assert "0?" not in [problem.prompt for problem in selection.problems["train"]]
    assert [row["reason"] for row in selection.rejected["train"]] == ["in_evaluation"]


def test_datasets_are_read_through_their_column_mapping(tmp_path):
    pairs = {"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
    rows = {
        "problem": ["Double it", "Nothing to test", "Broken", "", "Same length"],
        "io": [json.dumps(pairs), '{"inputs": [], "outputs": []}', "{oops", json.dumps(pairs),
               '[{"input": "1", "output": "2"}]'],
        "reply": ["so #### 1,200", "no number", "#### 3", "#### 4", "#### 5"],
    }
    for name in ("math", "code"):
        prompts = [prompt and f"{prompt} ({name})" for prompt in rows["problem"]]
        datasets.Dataset.from_dict({**rows, "problem": prompts}).to_parquet(tmp_path / name / "train.parquet")
    common = {"prompt": "problem"}
    selection = select(Config(datasets=[
        {**common, "name": "m", "path": str(tmp_path / "math"), "kind": "math", "answer": "reply",
         "answer_pattern": r"#### (\S+)", "limit": 4},
        {**common, "name": "c", "path": str(tmp_path / "code"), "kind": "code", "tests": "io"},
    ]))
    math_rows = [problem for problem in selection.problems["train"] if problem.kind == "math"]
    code_rows = {problem.prompt: problem for problem in selection.problems["train"] if problem.kind == "code"}
    answers = {problem.prompt: problem.answer for problem in math_rows}
    assert answers == {"Double it (math)": "1,200", "Broken (math)": "3"}
    assert [test.expected for test in code_rows["Double it (code)"].tests] == ["2\n", "4\n"]
    assert set(code_rows) == {"Double it (code)", "Same length (code)"}
    reasons = {row["where"]: row["reason"] for row in selection.rejected["train"]}
    assert reasons == {"m:1": "no_answer", "m:3": "empty", "c:1": "no_tests", "c:2": "invalid_tests", "c:3": "empty"}
    with pytest.raises(ConfigError, match=r"no column question; it has problem, io, reply"):
        select(Config(datasets=[
            {"name": "m", "path": str(tmp_path / "math"), "kind": "math", "prompt": "question", "answer": "reply"}
        ]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"math": [{"generator": "acre"}], "math_train": 1}, r"problems.math.0.generator: Input should be .*chain_sum"),
        ({"math_train": 5}, "names no generator"),
        ({}, "no problems at all"),
    ],
)
def test_wrong_configs_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        build(Config, values, "problems")


def test_wrong_generator_parameters_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"chain_sum has no parameter digits; it has .*max_digits"):
        select(Config(math=[{"generator": "chain_sum", "parameters": {"digits": 2}}], math_train=1))
    with pytest.raises(ConfigError, match="refuses"):
        select(Config(math=[{"generator": "chain_sum", "parameters": {"min_terms": 9}}], math_train=1))
    with pytest.raises(ConfigError, match=r"is no JSONL file and no folder"):
        select(Config(files=[{"name": "mine", "path": str(tmp_path / "none.jsonl")}]))
