"""Problems as chat prompts, sampled tokens as text: what a policy sees and what its rewards read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.config import ConfigError
from components.model.checkpoint import load_tokenizer
from components.problems import CodeProblem, MathProblem


class ChatText:
    """`driver.Text` over a checkpoint's tokenizer and its own chat template."""

    def __init__(self, tokenizer: Any, stop_tokens: tuple[int, ...]) -> None:
        self.tokenizer = tokenizer
        self.stop_tokens = stop_tokens

    @classmethod
    def from_checkpoint(cls, directory: Path) -> ChatText:
        """Tokenizer and stop tokens of a Hugging Face directory.

        Raises:
            ConfigError: no fast tokenizer, no chat template, or no stop token.
        """
        tokenizer = load_tokenizer(directory)
        if not tokenizer.chat_template:
            raise ConfigError(f"{directory}: the tokenizer has no chat template")
        path = directory / "generation_config.json"
        stop = json.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
        if stop is None:
            stop = tokenizer.eos_token_id
        if stop is None or stop == []:
            raise ConfigError(f"{path}: no eos_token_id: completions would never stop")
        return cls(tokenizer, tuple(stop) if isinstance(stop, list) else (stop,))

    def prompt_tokens(self, problem: MathProblem | CodeProblem) -> tuple[int, ...]:
        """The problem as the only user message, and the opening of the answer."""
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": problem.prompt}], add_generation_prompt=True, tokenize=False
        )
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def text(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True)
