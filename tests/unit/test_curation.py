"""Curation: what is set aside by text, and pass rates measured from judged samples."""

from __future__ import annotations

from components.evaluation.judged import Judged
from components.problems import CodeProblem, MathProblem, TestCase
from components.training.curation.cleaning import clean
from components.training.curation.stage import measure


def math(number: int, prompt: str, source: str = "user/competition") -> MathProblem:
    return MathProblem(id=f"m{number}", source=source, prompt=prompt, answer="1")


def judged(problem: str, kind: str, outcomes: list[tuple[float | None, bool, tuple[str, ...]]]) -> list[Judged]:
    return [
        Judged(problem, kind, "s", number, "", 1, "stop", reward, "wrong", passed, tests)
        for number, (reward, passed, tests) in enumerate(outcomes)
    ]


def test_problems_a_rule_cannot_judge_honestly_are_set_aside() -> None:
    evaluated = "Let a and b be the roots of x^2 - 5x + 3 = 0. Find the value of a^3 + b^3 in simplest form."
    problems = [
        math(1, "What is 2 + 2?"),
        math(2, "what is  2 + 2?"),
        math(3, "What is 2 - 2?"),
        math(4, "Prove that the square root of two is irrational."),
        math(5, "Which is prime? A) 4 B) 7 C) 9 D) 15"),
        math(6, f"Hint: think. {evaluated.upper()}"),
        math(7, "What is 7 + 8?"),
    ]
    kept, rejected = clean(problems, [evaluated, "What is 7 + 8?"])
    assert [problem.id for problem in kept] == ["m1", "m3"]
    assert {record["id"]: record["reason"] for record in rejected} == {
        "m2": "repeated", "m4": "proof", "m5": "multiple_choice", "m6": "contaminated", "m7": "contaminated",
    }  # fmt: skip


def test_generated_problems_share_wording_without_being_the_same() -> None:
    wording = "Read n. If n is under {}, print 0. If n is over {}, print 5. Otherwise print n plus 2."
    generated = math(1, wording.format(1, 9), source="generated/clamp")
    assert clean([generated], [wording.format(1, 8)])[0] == [generated]
    assert clean([generated], [wording.format(1, 9)])[0] == []


def test_pass_rates_leave_out_what_could_not_be_judged() -> None:
    code = CodeProblem(
        id="c", source="s", prompt="p", tests=(TestCase(input="", expected="1"), TestCase(input="", expected="2"))
    )
    unmeasured = math(2, "never judged")
    samples = [
        *judged("c", "code", [(1.0, True, ("pass", "pass")), (0.5, False, ("pass", "wrong")),
                              (None, False, ("infrastructure", "infrastructure")), (0.0, False, ("error", "error"))]),
        *judged("m2", "math", [(None, False, ())]),
    ]  # fmt: skip
    measured_code, measured_math = measure([code, unmeasured], samples)
    assert measured_code.pass_rate == 1 / 3
    assert isinstance(measured_code, CodeProblem)
    assert [test.pass_rate for test in measured_code.tests] == [2 / 3, 1 / 3]
    assert measured_math == unmeasured
