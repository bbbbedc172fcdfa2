"""Decontamination: recall of planted evaluation prompts however they are written, false hits, and speed.

    python benchmarks/decontamination.py            prints, and writes benchmarks/decontamination.md
    python benchmarks/decontamination.py --quick    smaller sizes, prints only

Beside the usual way to do it: sets of 13 words in a row, lower-cased and split at spaces, as evaluation harnesses and
open recipes compare them (8 words in some). Speed is CPU time in one process.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from deduplication import Texts
from machine import processor

from components.data.decontamination import find_contamination
from components.data.decontamination.config import Config
from components.data.extraction import ExtractionError, extract
from components.data.ingestion.readers import shipped_pages
from components.data.ngrams import NgramIndex

RESULTS = Path(__file__).with_suffix(".md")
NGRAM = 13
TASKS = ["Find the sum of all real solutions of", "Compute", "For which values of $k$ is there a solution of",
         "Evaluate", "How many integers satisfy", "Simplify the expression and give its value at $x = 3$:",
         "What is the remainder when we divide by 7 the number", "Determine all pairs $(a, b)$ such that"]  # fmt: skip
TAILS = ["", "", "Give your answer as a fraction.", "Express the answer in simplest form, with a rational denominator.",
         "Assume that $x > 0$ and that every variable is real, and justify each step."]  # fmt: skip


class Prompts:
    """Made evaluation prompts: formulas in a few words, formulas in many, and stories without any."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.texts = Texts(seed)

    def make(self, count: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < count:
            found[self._story() if self.random.random() < 0.3 else self._task()] = None
        return list(found)

    def _task(self) -> str:
        formula = self._sum(self.random.randint(2, 5))
        relation = self.random.choice(["=", r"\le", r"\ge", "<", r"\ne"])
        return f"{self.random.choice(TASKS)} ${formula} {relation} {self._sum(1)}$. {self.random.choice(TAILS)}".strip()

    def _sum(self, terms: int) -> str:
        formula = self._term()
        for _ in range(terms - 1):
            formula += self.random.choice([" + ", " - "]) + self._term()
        return formula

    def _term(self) -> str:
        number = self.random.randint(2, 999)
        letter = self.random.choice("xyzabn")
        return self.random.choice([
            f"{number}{letter}", f"{number}{letter}^{{2}}", rf"\frac{{{number}}}{{{letter}}}", f"{number}",
            rf"{number} \cdot {letter}^{{3}}", rf"\sqrt{{{number}}}", rf"{number}\sin({letter})", rf"{number}\alpha",
        ])  # fmt: skip

    def _story(self) -> str:
        words = self.texts.make(1)[0].split()[: self.random.randint(6, 90)]
        words[1:1] = [str(self.random.randint(2, 9999)), "apples,"]
        return " ".join(words).capitalize() + " are left?"


def ways(prompt: str) -> dict[str, str]:
    """The same prompt as other people would write it."""
    return {
        "as it is": prompt,
        "upper case": re.sub(r"\\[A-Z]+", lambda command: command.group().lower(), prompt.upper()),
        "no punctuation": re.sub(r"[^\w\s\\]", " ", prompt),
        "other punctuation": prompt.replace(",", ";").replace(".", "!").replace(":", " –").replace("?", "."),
        "spaced formulas": re.sub(r"([{}^+=$<(),-])", r" \1 ", prompt),
        "tight formulas": re.sub(r"(?<=[\d\w}$]) ?([+=<-]) ?(?=[\d\w\\$])", r"\1", prompt),
        "other commands": prompt.replace("\\frac", "\\dfrac").replace(r"\le ", r"\leqslant ")
        .replace(r"\cdot", r"\times").replace("(", "\\left(").replace(")", "\\right)"),
        "Markdown, wrapped": "> **" + re.sub(r"(\S+ \S+) ", r"\1\n> ", prompt) + "**",
        "rendered": re.sub(r"\\frac\{(\w+)\}\{(\w+)\}", r"\1/\2", prompt).replace("^{2}", "²").replace("^{3}", "³")
        .replace("$", "").replace(r"\alpha", "α").replace(r"\sin", "sin").replace(r"\le ", "≤ ").replace(r"\ge ", "≥ ")
        .replace(r"\ne ", "≠ ").replace(r" \cdot ", "·").replace("-", "−").replace("\\sqrt{", "√{"),
    }  # fmt: skip


def other_operator(prompt: str, generator: random.Random) -> str:
    """Another problem: one operator of the formula is another one; empty where there is none."""
    places = list(re.finditer(r" [+<=-] |\\[lg]e |\\ne ", prompt))
    if not places:
        return ""
    place = generator.choice(places)
    new = generator.choice([sign for sign in (" + ", " - ", " = ", r"\le ", r"\ge ") if sign != place.group()])
    return prompt[: place.start()] + new + prompt[place.end() :]


class PlainNgrams:
    """Sets of n words in a row, lower-cased, split at spaces."""

    def __init__(self, prompts: Sequence[str], n: int) -> None:
        self.n = n
        self.owners: dict[tuple[str, ...], set[int]] = {}
        for number, prompt in enumerate(prompts):
            for ngram in self._ngrams(prompt):
                self.owners.setdefault(ngram, set()).add(number)

    def _ngrams(self, text: str) -> list[tuple[str, ...]]:
        words = text.lower().split()
        return [tuple(words[start : start + self.n]) for start in range(len(words) - self.n + 1)]

    def hits(self, texts: Sequence[str]) -> set[tuple[int, int]]:
        return {(number, owner) for number, text in enumerate(texts) for ngram in self._ngrams(text)
                for owner in self.owners.get(ngram, ())}  # fmt: skip


def ours(prompts: Sequence[str]) -> Callable[[Sequence[str]], set[tuple[int, int]]]:
    index = NgramIndex(prompts, NGRAM)
    return lambda texts: {(number, match.prompt) for number, matches in enumerate(index.search(texts))
                          for match in matches}  # fmt: skip


def real_pages() -> list[str]:
    """The shipped sample of real pages, extracted."""
    texts = []
    for row in shipped_pages():
        try:
            texts.append(extract(row.html, row.url).text)
        except ExtractionError:
            continue
    return texts


def best_seconds(function: Callable[[Sequence[str]], object], texts: Sequence[str], repeats: int) -> float:
    seconds = math.inf
    for _ in range(repeats):
        start = time.process_time()
        function(texts)
        seconds = min(seconds, time.process_time() - start)
    return seconds


def report(prompt_count: int, planted: int, documents: int, repeats: int) -> str:
    prompts = Prompts(0).make(prompt_count)
    start = time.process_time()
    methods = {f"this project, {NGRAM}-grams": ours(prompts)}
    building = time.process_time() - start
    methods |= {f"plain, {n}-grams": PlainNgrams(prompts, n).hits for n in (13, 8)}
    generator = random.Random(1)
    texts = Texts(2)
    pages = texts.make(documents)

    def within(text: str) -> str:
        """The text in the middle of a page."""
        words = generator.choice(pages).split()
        middle = generator.randrange(len(words))
        return f"{' '.join(words[:middle])}\n\n{text}\n\n{' '.join(words[middle:])}"

    copies: dict[str, list[str]] = {}
    for prompt in prompts[:planted]:
        for way, copy in ways(prompt).items():
            copies.setdefault(way, []).append(within(copy))
    variants = [(number, other_operator(prompt, generator)) for number, prompt in enumerate(prompts)]
    variants = [(number, within(variant)) for number, variant in variants if variant][:planted]
    real = real_pages()
    lengths = [len(prompt.split()) for prompt in prompts]
    words = [len(page.split()) for page in pages]
    lines = [
        f"{len(prompts):,} made prompts of {min(lengths)} to {max(lengths)} words (half under "
        f"{np.median(lengths):.0f}), most with formulas; each of the first {planted} planted in a page in every way "
        "below.", "",
        "| planted copies found | " + " | ".join(methods) + " |", "|---|" + "---:|" * len(methods),
    ]  # fmt: skip
    missed: list[str] = []
    for way, some in copies.items():
        shares = []
        for name, method in methods.items():
            hits = method(some)
            shares.append(f"{sum((number, number) in hits for number in range(planted)) / planted:.3f}")
            if name.startswith("this"):
                missed += [f"- {way}: {prompts[n]}" for n in range(planted) if (n, n) not in hits]
        lines.append(f"| {way} | " + " | ".join(shares) + " |")
    false: list[str] = []
    for what, some, own in (
        (f"{len(variants)} prompts with one other operator: taken for the prompt", [text for _, text in variants],
         [number for number, _ in variants]),
        (f"{len(real)} real pages: hits", real, None),
        (f"{len(pages):,} made pages without a prompt: hits", pages, None),
    ):  # fmt: skip
        counts = []
        for name, method in methods.items():
            hits = method(some)
            if own is not None:
                hits = {(number, prompt) for number, prompt in hits if own[number] == prompt}
            counts.append(f"{len(hits)}")
            if name.startswith("this"):
                false += [f"- {what}: {prompts[prompt]}" for _, prompt in sorted(hits)]
        lines.append(f"| {what} | " + " | ".join(counts) + " |")
    speeds = []
    for method in methods.values():
        method(pages[:50])
        speeds.append(f"{len(pages) / best_seconds(method, pages, repeats):,.0f}")
    lines.append("| documents/s a core | " + " | ".join(speeds) + " |")
    lines.append(f"| the same on the real pages, MB/s | {_megabytes(methods, real, repeats)} |")
    found = find_contamination([within(prompts[0])], prompts, Config())
    assert [hit.prompt for hit in found] == [0]
    return "\n".join([
        *lines, "",
        f"Pages are made, log-normal in length: median {np.median(words):.0f} words, mean {np.mean(words):.0f}, "
        f"{np.mean([len(page.encode()) for page in pages]) / 1000:.1f} kB; the best of {repeats} passes, the "
        f"index built before (once: {building:.1f} s).", "",
        "Planted copies that were missed:", "", *(missed[:20] or ["none."]), "", "False hits:", "",
        *(false[:40] or ["none."]),
    ])  # fmt: skip


def _megabytes(
    methods: dict[str, Callable[[Sequence[str]], set[tuple[int, int]]]], pages: list[str], repeats: int
) -> str:
    size = sum(len(page.encode()) for page in pages) / 1e6
    return " | ".join(f"{size / best_seconds(method, pages, repeats):.0f}" for method in methods.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    table = report(300, 60, 1000, 1) if arguments.quick else report(3000, 500, 10_000, 4)
    text = (f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores (shared), Python "
            f"{platform.python_version()}, numpy {np.__version__}.\n\n{table}")  # fmt: skip
    print(text)
    if not arguments.quick:
        RESULTS.write_text(f"# Decontamination: recall, false hits, speed\n\n{NOTES}\n\n{text}\n")


NOTES = """\
`python benchmarks/decontamination.py` gives this page again. A prompt counts as found where the text it was planted in
is a hit of that very prompt. *plain* is what evaluation harnesses and open recipes do: words lower-cased and split at
spaces. Compare columns, not absolutes."""


if __name__ == "__main__":
    main()
