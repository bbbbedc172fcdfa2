"""Decontamination: planted copies are found however they are written, and ordinary text is left alone."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.decontamination import find_contamination
from components.data.decontamination.config import Config
from components.data.decontamination.stage import drop_contaminated
from components.data.ngrams import NgramIndex, normalize

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
        + random.choice([" ", ", ", "\n", " - ", "$ "])
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
