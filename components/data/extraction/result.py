"""What extraction gives for a page. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


class ExtractionError(ValueError):
    """A page that gives no document; `reason` is a short key to count by."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ExtractionError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Formula:
    """A formula as TeX without delimiters. `origin` names the markup it came from."""

    tex: str
    display: bool
    origin: str


@dataclass(frozen=True)
class CodeBlock:
    """A code block with its exact indentation. `language` is empty where the page does not say."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Post:
    """One contribution to a thread. `role` is question, answer or post; `votes` is None where there are none."""

    role: str
    text: str
    votes: int | None = None
    accepted: bool = False


@dataclass(frozen=True)
class Thread:
    """A forum or question-and-answer thread. `software` names the markup that was recognised."""

    software: str
    posts: tuple[Post, ...]


@dataclass(frozen=True)
class Losses:
    """Formulas and code blocks recognised on the whole page, and how many of them are in the text."""

    formulas_found: int = 0
    formulas_kept: int = 0
    code_found: int = 0
    code_kept: int = 0


@dataclass(frozen=True)
class Extraction:
    """The main content of a page.

    Attributes:
        text: Markdown with `$…$` and `$$…$$`, fenced code, lists and tables; no boilerplate.
        title: the page's title, without the site's name where that can be told.
        formulas: those in `text`, in order.
        code_blocks: those in `text`, in order.
        thread: the posts, where the page is a thread.
        losses: what was recognised but lies outside the main content.
    """

    text: str
    title: str
    formulas: tuple[Formula, ...] = ()
    code_blocks: tuple[CodeBlock, ...] = ()
    thread: Thread | None = None
    losses: Losses = Losses()
