"""Tokenizers: training a byte-level BPE, taking an existing one, and encoding text that may be hostile.

- `train`, `load`     a tokenizer that holds the chat format's special tokens
- `plain_encoder`     the same vocabulary without special tokens: no page can smuggle one in
- `save`              a directory that transformers' AutoTokenizer reads

A new tokenizer splits text as Qwen2's does (digits one by one) and numbers its special tokens last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from components.artifacts import write_json, write_text
from components.config import ConfigError
from components.model.chat_template import CHAT_TEMPLATE, CONTROL_TOKENS, END_OF_TEXT, SPECIAL_TOKENS, THINK_TOKENS

# Qwen2's pattern: contractions, letters with one leading mark, single digits, punctuation, line ends, spaces
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE; the result depends on the texts only, not on their order or on the number of threads.

    Args:
        vocab_size: special tokens included. A corpus too small for it gives fewer tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    _add_special_tokens(tokenizer)
    return tokenizer


def load(path: str) -> Tokenizer:
    """An existing tokenizer, from a directory or the hub; special tokens it lacks are added.

    Raises:
        ConfigError: neither a directory with tokenizer.json nor a name the hub knows.
    """
    try:
        directory = Path(path)
        if directory.is_dir():
            tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        else:
            tokenizer = Tokenizer.from_pretrained(path)
    except Exception as error:   # the library raises bare Exception
        raise ConfigError(f"mixing.tokenizer.path: no tokenizer at {path!r}: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    _add_special_tokens(tokenizer)
    return tokenizer


def _add_special_tokens(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in THINK_TOKENS])


def plain_encoder(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer with the same ids that reads the names of special tokens as ordinary text."""
    values = json.loads(tokenizer.to_str())
    values["added_tokens"] = []
    values["post_processor"] = None
    return Tokenizer.from_str(json.dumps(values))


def sizes(tokenizer: Tokenizer, multiple: int) -> tuple[int, int]:
    """(ids in use, counted to the highest; embedding rows: that, padded to a multiple)."""
    used = max(tokenizer.get_vocab().values()) + 1
    return used, -(-used // multiple) * multiple


def save(tokenizer: Tokenizer, directory: Path) -> list[Path]:
    """Write the files that transformers' AutoTokenizer reads; the same tokenizer gives the same bytes."""
    special = {
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": [name for name in CONTROL_TOKENS if name != END_OF_TEXT],
    }
    added = {
        str(tokenizer.token_to_id(name)): {
            "content": name, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
            "special": name in CONTROL_TOKENS,
        }
        for name in SPECIAL_TOKENS
    }  # fmt: skip
    write_text(directory / FILES[0], tokenizer.to_str(pretty=True))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": added,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2**30,
        **special,
    }
    write_json(directory / FILES[1], config)
    write_json(directory / FILES[2], special)
    return [directory / name for name in FILES]
