"""Decontamination: planted copies are found however they are written, and ordinary text is left alone."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.anchors import Anchors
from components.data.decontamination import find_contamination
from components.data.decontamination.config import Config
from components.data.decontamination.stage import drop_contaminated
from components.data.ngrams import NgramIndex
from components.data.prompt_text import normalize

PROMPTS = [
    "Let $x^{2} + 3x - \\frac{1}{2} = 0$. What is the sum of the roots of this equation, given that x is real?",
    "Read n. If n is over 7, print n plus 3. Otherwise print n times 2.",
    "State the final answer to the following arithmetic problem: 47 + 38 =",
    "Integrate $x^2\\sin(x)$ by parts.",
    "Prove that $\\left(\\alpha+\\beta\\right)^2 \\ge 4\\alpha\\beta$ for all real \\(\\alpha\\) and \\(\\beta\\).",
    "A train leaves Berlin at 9:40 with 1,250 passengers; how many are left after 375 leave the well-known station?",
]
PAGE = "Some page about trains and roots. " * 20


def _copies(prompt: str) -> dict[str, str]:
    """The same prompt as other people would write it."""
    return {
        "as it is": prompt,
        "upper case": prompt.upper().replace("\\FRAC", "\\frac").replace("\\SIN", "\\sin"),
        "no punctuation": re.sub(r"[^\w\s\\]", " ", prompt),
        "other punctuation": prompt.replace(",", " –").replace(".", "!").replace(":", ";").replace("-", "‐"),
        "spread LaTeX": re.sub(r"([{}^+=$])", r" \1 ", prompt),
        "tight LaTeX": re.sub(r" ?([{}^+=-]) ?", r"\1", prompt),
        "other commands": prompt.replace("\\frac", "\\dfrac").replace("\\left(", "(").replace("\\right)", ")"),
        "Markdown": "**" + prompt.replace(" ", "  \n") + "**",
        "rendered": prompt.replace("\\frac{1}{2}", "1/2").replace("^{2}", "²").replace("^2", "²").replace("$", "")
        .replace("\\alpha", "α").replace("\\beta", "β").replace("\\sin", "sin"),
    }  # fmt: skip


@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_every_way_to_write_a_prompt_is_found(number: int) -> None:
    ways = _copies(PROMPTS[number])
    hits = find_contamination([f"{PAGE}{copy} {PAGE}" for copy in ways.values()], PROMPTS, Config())
    found = {hit.text for hit in hits if hit.prompt == number}
    assert not {name for index, name in enumerate(ways) if index not in found}


@given(st.integers(0, len(PROMPTS) - 1), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_random_case_spacing_and_punctuation_between_words_change_nothing(number: int, random: random.Random) -> None:
    words = re.findall(r"\\[a-z]+|[^\W\d_]+|\d+", PROMPTS[number])
    text = "".join(
        (word if word[0] == "\\" else random.choice([word, word.upper()]))
        + random.choice([" ", ", ", "\n", "; ", "$ "])
        for word in words
    )
    assert text in NgramIndex(PROMPTS, 13)


@given(st.lists(st.sampled_from(["red", "blue", "fish", "1", "2", "x"]), max_size=60), st.integers(4, 6))
@settings(max_examples=200, deadline=None)
def test_matches_are_those_of_a_plain_search_over_words(words: list[str], n: int) -> None:
    prompt = "blue fish red fish blue blue fish red 1 fish"
    wanted = prompt.split()
    grams = {tuple(wanted[i : i + n]) for i in range(len(wanted) - n + 1)}
    long = {gram for gram in grams if len("".join(gram)) >= 12}
    held = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} & long
    matches = NgramIndex([prompt], n).matches(" ".join(words))
    if held:
        assert matches[0].coverage >= len(held) / len(grams) - 1e-9
    elif not re.search(r"\d \d", " ".join(words)):   # digits that join ("1 2") may agree with another spelling
        assert not matches


def test_short_prompts_count_whole_and_trivial_ones_not_at_all() -> None:
    prompts = ["What is 5?", "Is it?", "Solve for x: 2x+3=7"]
    index = NgramIndex(prompts, 13)
    assert index.too_short == [0, 1]
    texts = [
        "What is 5? Is it? What is 5?",
        "First, solve for X: 2x + 3 = 7.", "Solve for x: 2x+3=71", "resolve for x: 2x+3=7"
    ]  # fmt: skip
    assert [(hit.text, hit.prompt, hit.coverage) for hit in find_contamination(texts, prompts)] == [(1, 2, 1.0)]


SAME = [
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 − 4 + 2 x for X = 5"),
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 – 4 + 2·x for x=5"),
    ("Compute $3 - 4 + 2x$ for x = 5.", "Compute 3 4 2x for x 5"),   # no punctuation is left
    ("Is $2a + b \\le 7 - b$ true for all b?", "is 2*a+b ≤ 7-b true for all b"),
    ("Is $2a + b \\le 7 - b$ true for all b?", "is 2a+b <= 7 - b, true, for all b"),
    ("Is $2a + b \\le 7 - b$ true for all b?", "Is 2a b \\le 7 b true for all b"),
    ("Find $\\frac{x^2}{3} \\cdot y$ if x, y and z are known", "Find x²/3 × y if x – y and z are known"),
    ("Find $\\frac{x^2}{3} \\cdot y$ if x, y and z are known", "find x2/3 y if x; y and z are known"),
    ("How many well-known x-rays, on pages 3-7?", "how many well known x rays on pages 3–7"),
    ("Add 1,250 and 40 to the first term", "Add 1 – 250 and 40 to the first term"),
    ("Take $\\sqrt{2} = -y$ as given and go on", "take √2 = −y as given and\ngo on"),
    ("Say for which $x$ $2x - 1 > 0$ holds", "> say for which x 2x\n> - 1\n> 0 holds"),
    ("Say for which $x$ $2x - 1 > 0$ holds", "> say for which x 2x -\n> 1 >\n> 0 holds"),
    ("Sum up a\n+ b\n- c\n+ d for all letters", "Sum up a + b - c + d for all letters"),
]
OTHER = [
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 + 4 + 2x for x = 5"),
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 - 4 - 2x for x = 5"),
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 - 4 + 2x for x = -5"),
    ("Compute $3 - 4 + 2x$ for x = 5.", "compute 3 - 4 + 2^x for x < 5"),
    ("Solve $2x = 7$ for the number x", "Solve 2 + x = 7 for the number x"),
    ("Solve $2 + x = 7$ for the number x", "Solve 2x = 7 for the number x"),
    ("What is $2^3 + 5 = $ in decimals?", "What is 2*3 + 5 in decimals"),
    ("Is $2a + b \\le 7$ true for all b?", "is 2a + b ≥ 7 true for all b"),
    ("Is $2a + b \\le 7$ true for all b?", "is 2a + b < 7 true for all b"),
    ("Evaluate 7 - -3 and then 8 more", "evaluate 7 - 3 and then 8 more"),
    ("$-x + 2y = 3$, so what is y worth?", "x + 2y = 3, so what is y worth"),
    ("Divide $a / b$ and round the result", "divide a * b and round the result"),
]


@pytest.mark.parametrize(("prompt", "text"), SAME)
def test_operators_written_otherwise_are_the_same(prompt: str, text: str) -> None:
    assert f"{PAGE} Problem 3: {text} - {PAGE}" in NgramIndex([prompt], 13)


@pytest.mark.parametrize(("prompt", "text"), OTHER)
def test_other_operators_make_another_problem(prompt: str, text: str) -> None:
    assert f"{PAGE} Problem 3: {text} - {PAGE}" not in NgramIndex([prompt], 13)
    assert f"{text}. But: {prompt}" in NgramIndex([prompt], 13), "the second time it is the prompt"


def test_another_problem_in_the_words_of_a_long_prompt_is_no_hit_by_its_prose() -> None:
    other = PROMPTS[0].replace("3x - ", "3x + ")
    assert find_contamination([other], PROMPTS) == []
    assert find_contamination([other.replace("Let", "Give")], PROMPTS), "13 words of it, and not all of them"


PIECES = ["12", "x", "the ", "sum", "ﬁsh", "²", "Ω", "\\alpha", "e\u0301", "東", "ー", " ", ".", "𝑥", "😀", "ß", "İ",
          "_", "½", "ა", "\\", "-"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.integers(0, 30), st.integers(12, 40))
@settings(max_examples=300, deadline=None)
def test_the_search_of_many_texts_passes_over_nothing_that_reading_finds(
    parts: list[str], start: int, length: int
) -> None:
    text = "".join(parts)
    words = normalize(text)
    begin = int(words.starts[min(start, len(words.starts) - 1)])
    string = words.stream[begin : begin + length]
    if len(string) >= 12:
        likely = list(Anchors([string]).likely(["unrelated", text, "x" * 70000, text]))
        assert [found for _, found in likely] == [False, True, False, True]
        assert not next(iter(Anchors(["q" * 12 + string]).likely([text])))[1] or "𝑥" in text


def test_unrelated_pages_are_left_alone() -> None:
    generator = random.Random(0)
    words = sorted({word for prompt in PROMPTS for word in prompt.split()} | {"sea", "tree", "house", "over", "7"})
    pages = [" ".join(generator.choices(words, k=300)) for _ in range(200)]
    assert find_contamination(pages, PROMPTS) == []


def test_twelve_words_of_a_long_prompt_are_no_hit_and_thirteen_are() -> None:
    words = [f"w{chr(97 + number)}{chr(97 + number)}" for number in range(20)]
    index = NgramIndex([" ".join(words)], 13)
    assert " ".join(words[3:15]) not in index
    assert " ".join(words[3:16]) in index
    assert index.matches(" ".join(words[3:17]))[0].coverage == 2 / 8


def test_rejected_rows_name_the_problem_and_the_ngram() -> None:
    record = {"id": "1", "url": "u", "title": "Integrate x²sin(x)", "text": "by parts. " + PAGE}
    mapped = drop_contaminated([record, {**record, "title": "x"}], (("p", PROMPTS[3]),), 13)
    assert [row["title"] for row in mapped.kept] == ["x"]
    detail = json.loads(mapped.rejected[0]["detail"])
    assert detail == {"problems": 1, "hits": [{"problem": "p", "ngram": "integratex2sinxbyparts", "coverage": 1.0}]}


@given(st.text())
def test_any_text_can_be_normalised(text: str) -> None:
    normalized = normalize(text)
    assert normalized.starts[-1] == len(normalized.stream)
    NgramIndex([text], 4).matches(text * 2)
