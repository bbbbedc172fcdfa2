"""The chat format: ChatML with thoughts between `<think>` tags, and the names of the special tokens.

- `CHAT_TEMPLATE`    the Jinja template every tokenizer and checkpoint carries
- `render`           the same text without Jinja or transformers

There is no system prompt unless the messages bring one. Contents go in as they are: whoever puts text from outside into
a message must see to it that it holds none of `SPECIAL_TOKENS`, or it could end the message it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

END_OF_TEXT = "<|endoftext|>"    # ends a document; padding
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"            # ends a message; an assistant stops here
THINK_START = "<think>"
THINK_END = "</think>"

# Order is part of the format: new tokenizers number them in this order.
CONTROL_TOKENS = (END_OF_TEXT, IM_START, IM_END)   # special: left out of decoded text
THINK_TOKENS = (THINK_START, THINK_END)            # one token each, but text: kept when special tokens are skipped
SPECIAL_TOKENS = CONTROL_TOKENS + THINK_TOKENS

CHAT_TEMPLATE = Path(__file__).with_suffix(".jinja").read_text(encoding="utf-8").rstrip("\n")


def render(messages: Iterable[Mapping[str, Any]], add_generation_prompt: bool = False) -> str:
    """The text of a conversation, equal to what `CHAT_TEMPLATE` gives.

    Args:
        messages: dicts with `role` and `content`.
        add_generation_prompt: end with the opening of an assistant message.
    """
    text = "".join(f"{IM_START}{message['role']}\n{message['content']}{IM_END}\n" for message in messages)
    return text + f"{IM_START}assistant\n" if add_generation_prompt else text
