"""Loads published checkpoints as a user would, and compares their logits with ours.

Runs as a program of its own (`python -m components.publishing.verify TOKENS DIR…`): transformers copies a checkpoint's
modeling files into a cache of modules that it chooses at import, and here that cache must go away afterwards. One JSON
line a directory on stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.artifacts import ArtifactError

TOLERANCE = 1e-4   # of float32 logits, absolute and relative
_TRUNK_LEAVES_ASIDE = "model.mtp_layers."


def verify(directories: Sequence[Path], tokens: int, scratch: Path) -> Iterator[dict[str, Any]]:
    """Verify each directory in a child process, in order; yields its findings as they come.

    Args:
        tokens: length of the rows compared.
        scratch: where the cache of modules lives until the child has ended.

    Raises:
        ArtifactError: a checkpoint that does not load or computes something else; says which and why.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as cache, tempfile.TemporaryFile("w+") as errors:
        quiet = {"HF_MODULES_CACHE": cache, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        environment = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"} | quiet
        command = [sys.executable, "-m", "components.publishing.verify", str(tokens), *map(str, directories)]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as child:   # no stdin: nothing may ask a question
            assert child.stdout is not None
            verified = 0
            for line in child.stdout:
                yield json.loads(line)
                verified += 1
        if child.returncode:
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or [f"exit status {child.returncode}"])[-1]
            raise ArtifactError(f"{directories[min(verified, len(directories) - 1)]}: not publishable: {reason}")


def check(directory: Path, tokens: int) -> dict[str, Any]:
    """Load the tokenizer and both faces of the model.

    Returns: the largest differences of logits, and the number of MTP heads compared.

    Raises:
        ValueError: no chat template, a tensor missing or unknown, or logits beyond `TOLERANCE`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

    from components.model.checkpoint import load_config, load_model

    load_full: Any = AutoModelForCausalLM.from_pretrained   # typed as if they never gave pairs
    load_trunk: Any = Qwen2ForCausalLM.from_pretrained
    shape = load_config(directory)
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)   # it reads the model's config
    probe = _probe(tokenizer, shape.vocab_size, min(tokens, shape.max_position_embeddings))
    with torch.inference_mode():
        model = load_model(directory).eval()
        hidden = model(probe)
        ours = model.logits(hidden)
        heads = range(len(model.model.mtp_layers))
        drafts = [model.lm_head(model.mtp_hidden(hidden, probe, None, head)) for head in heads]
        del model, hidden   # one copy of the weights in memory at a time
        options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True}
        full, found = load_full(directory, trust_remote_code=True, **options)
        _complete("AutoModelForCausalLM", found["missing_keys"], found["unexpected_keys"])
        gaps = {"auto_model": _gap("AutoModelForCausalLM", full.eval()(probe).logits, ours)}
        for head, draft in enumerate(drafts):
            rows = probe.shape[1] - 1 - head   # the last tokens have nothing to predict
            gaps[f"mtp_{head + 1}"] = _gap(
                f"MTP head {head + 1}", full.mtp_logits(probe, head)[:, :rows], draft[:, :rows]
            )
        del full
        trunk, found = load_trunk(directory, **options)
        beside = [name for name in found["unexpected_keys"] if not name.startswith(_TRUNK_LEAVES_ASIDE)]
        _complete("Qwen2ForCausalLM", found["missing_keys"], beside)
        gaps["trunk"] = _gap("Qwen2ForCausalLM", trunk.eval()(probe).logits, ours)
    return {"directory": str(directory), "heads": len(drafts), "gaps": gaps}


def _probe(tokenizer: Any, vocabulary: int, length: int) -> Any:
    """[2, length] tokens: a conversation in the chat template (repeated or cut to length), and a walk over all ids."""
    import torch

    if not tokenizer.chat_template:
        raise ValueError("the tokenizer has no chat template")
    messages = [{"role": "user", "content": "What is 12 + 30?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not prompt or max(prompt) >= vocabulary:
        raise ValueError(f"the tokenizer gives ids up to {max(prompt, default=-1)}, the model has {vocabulary}")
    conversation = (prompt * (length // len(prompt) + 1))[:length]
    return torch.tensor([conversation, [index * vocabulary // length for index in range(length)]])


def _complete(loader: str, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    if missing or unexpected:
        raise ValueError(f"{loader}: tensors missing {sorted(missing)[:5]}, unknown {sorted(unexpected)[:5]}")


def _gap(name: str, theirs: Any, ours: Any) -> float:
    excess = ((theirs - ours).abs() - TOLERANCE * ours.abs()).max().item()
    if not excess <= TOLERANCE:   # also true of NaN
        raise ValueError(f"{name}: logits differ from the trainer's by up to {(theirs - ours).abs().max().item():.2e}")
    return (theirs - ours).abs().max().item()


def main(arguments: Sequence[str]) -> None:
    findings, sys.stdout = sys.stdout, sys.stderr   # what libraries print is no finding
    for directory in arguments[1:]:
        print(json.dumps(check(Path(directory), int(arguments[0]))), file=findings, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
