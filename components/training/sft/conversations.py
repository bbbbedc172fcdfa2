"""From conversations to packed rows: the report's cleaning steps, the chat template, and which tokens are targets.

- `clean`   contaminated queries, mixed languages, incomplete responses and surplus responses out (section 3.1)
- `encode`  messages -> tokens and a mask of what the assistant said
- `pack_conversations`  rows and target masks of one length
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.ngrams import NgramIndex
from components.data.responses import foreign_letters, split_thought
from components.model.chat_template import CHAT_TEMPLATE, IM_END, SPECIAL_TOKENS, THINK_TOKENS
from components.training.packing import TokenArray, fill, pack
from components.training.sft.config import Config

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Encoded:
    """One conversation: tokens, and True for those the model must learn to say."""

    tokens: list[int]
    targets: list[bool]


def clean(
    records: Iterable[Record], evaluation: Sequence[str], config: Config
) -> tuple[list[Record], list[dict[str, str]]]:
    """The conversations to train on, in order, and those set aside: `id`, `url`, `reason`, `detail`.

    Args:
        evaluation: prompts of the evaluation problems.
    """
    contamination = _Contamination(evaluation, config.contamination_ngram)
    kept: list[Record] = []
    rejected: list[dict[str, str]] = []
    responses: Counter[str] = Counter()
    for record in records:
        query = _query(record["messages"])
        reason, detail = _flaw(record["messages"], query, contamination, config)
        if not reason and responses[query] >= config.responses_per_query:
            reason, detail = "surplus", query
        if reason:
            rejected.append(set_aside(record, reason, detail))
        else:
            responses[query] += 1
            kept.append(record)
    return kept, rejected


def set_aside(record: Record, reason: str, detail: str) -> dict[str, str]:
    """A row of `REJECTED_SCHEMA`."""
    return {"id": record["id"], "url": "", "reason": reason, "detail": detail}


class _Contamination:
    """Whether a query holds an evaluation prompt or n words in a row of one."""

    def __init__(self, prompts: Sequence[str], n: int) -> None:
        self._prompts = prompts
        self._index = NgramIndex(prompts, n)
        self._short = {prompts[number].strip() for number in self._index.too_short}   # these only if all is equal

    def find(self, query: str) -> str:
        """The prompt that was found, empty if none was."""
        if query.strip() in self._short:
            return query
        matches = self._index.matches(query)
        return self._prompts[matches[0].prompt] if matches else ""


def _query(messages: Sequence[Record]) -> str:
    """What the last answer answers: everything before it but the system's words."""
    return "\n".join(message["content"] for message in messages[:-1] if message["role"] != "system")


def _flaw(messages: Sequence[Record], query: str, contamination: _Contamination, config: Config) -> tuple[str, str]:
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    if not query or messages[-1]["role"] != "assistant":
        return "no_response", query
    for message in messages:   # markup inside a message would end it and speak for another role
        allowed = THINK_TOKENS if message["role"] == "assistant" else ()
        forged = [token for token in SPECIAL_TOKENS if token in message["content"] and token not in allowed]
        if forged:
            return "control_token", forged[0]
    found = contamination.find(query)
    if found:
        return "contaminated", found
    for answer in answers:
        parts = split_thought(answer)
        if parts is None or not parts[1] or parts[1].count("```") % 2:
            return "incomplete", answer[-200:]
        share, script = foreign_letters(query, answer)
        if share > config.foreign_letters:
            return "mixed_language", f"{share:.0%} {script}"
    return "", ""


def encode(records: Sequence[Record], tokenizer: Any) -> list[Encoded]:
    """Tokens of each conversation; targets are what the assistant says, its closing token included.

    Raises:
        ValueError: the chat template rewrites earlier turns, so a turn's tokens cannot be told apart.
    """
    if not tokenizer.chat_template:
        tokenizer.chat_template = CHAT_TEMPLATE
    pieces: list[tuple[int, str, bool]] = []   # conversation, text, target?
    for number, record in enumerate(records):
        done = ""
        for turn, message in enumerate(record["messages"]):
            if message["role"] != "assistant":
                continue
            before = _render(tokenizer, record["messages"][:turn], True)
            after = _render(tokenizer, record["messages"][: turn + 1], False)
            if not before.startswith(done) or not after.startswith(before):
                raise ValueError(f"conversation {record['id']}: the chat template changes earlier turns")
            pieces += [(number, before[len(done) :], False), (number, after[len(before) :], True)]
            done = after
    tokens = tokenizer([text for _, text, _ in pieces], add_special_tokens=False)["input_ids"]
    end = tokenizer.convert_tokens_to_ids(IM_END)
    encoded = [Encoded([], []) for _ in records]
    for (number, _, target), ids in zip(pieces, tokens, strict=True):
        said = len(ids)
        if target and end in ids:   # what the template writes after the closing token is nobody's words
            said = len(ids) - ids[::-1].index(end)
        encoded[number].tokens.extend(ids)
        encoded[number].targets.extend([target] * said + [False] * (len(ids) - said))
    return encoded


def _render(tokenizer: Any, messages: Sequence[Record], prompt: bool) -> str:
    text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)
    return text


def pack_conversations(
    encoded: Sequence[Encoded], sequence_length: int, padding: int
) -> tuple[TokenArray, NDArray[np.bool_], list[list[int]]]:
    """(rows [rows, 2, T], targets [rows, T], which conversations are in each row).

    Raises:
        ValueError: a conversation is longer than a row.
    """
    members = pack([len(item.tokens) for item in encoded], sequence_length)
    rows = fill([item.tokens for item in encoded], members, sequence_length, padding)
    targets = np.zeros((len(rows), sequence_length), dtype=bool)
    for number, row in enumerate(members):
        start = 0
        for index in row:
            mask = encoded[index].targets
            targets[number, start : start + len(mask)] = mask
            start += len(mask)
    return rows, targets, members
