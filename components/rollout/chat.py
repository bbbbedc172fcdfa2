"""How problems become prompts and sampled tokens become text, with a checkpoint's own tokenizer and chat template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from components.model.chat_template import CHAT_TEMPLATE, CONTROL_TOKENS, END_OF_TEXT, IM_END
from components.model.checkpoint import load_tokenizer
from components.problems import CodeProblem, MathProblem


class ChatText:
    """`driver.Text` of the checkpoint in `directory`. A tokenizer without a chat template gets ours."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = load_tokenizer(directory)
        if not self.tokenizer.chat_template:
            self.tokenizer.chat_template = CHAT_TEMPLATE
        self.stop_tokens = _stop_tokens(directory, self.tokenizer)
        self._control = {self.tokenizer.convert_tokens_to_ids(token) for token in CONTROL_TOKENS}

    def prompt_tokens(self, problem: MathProblem | CodeProblem) -> tuple[int, ...]:
        """The problem as a user's message, and the opening of the answer."""
        messages = [{"role": "user", "content": problem.prompt}]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, tokens: Sequence[int]) -> str:
        """What was sampled, without control tokens; the thought's tags stay."""
        kept = [token for token in tokens if token not in self._control]
        return self.tokenizer.decode(kept, skip_special_tokens=False)


def _stop_tokens(directory: Path, tokenizer: object) -> tuple[int, ...]:
    """What ends an answer: the end of a message or a document, and what `generation_config.json` adds."""
    names = tokenizer.get_vocab()  # type: ignore[attr-defined]
    found = [names[name] for name in (IM_END, END_OF_TEXT) if name in names]
    path = directory / "generation_config.json"
    if path.is_file():
        listed = json.loads(path.read_text()).get("eos_token_id") or []
        found += listed if isinstance(listed, list) else [listed]
    return tuple(dict.fromkeys(found))
