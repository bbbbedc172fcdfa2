"""The mixing stage: tokenizer, tokenised corpus, and the packed rows of the three pretraining stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from components.artifacts import Artifact, ArtifactError, Shard, describe_shard, write_json, write_text
from components.data.documents import read_documents, read_parquet
from components.data.mixing.config import SYNTHETIC, Config, Mixture
from components.data.mixing.corpus import Corpus, is_held_out, tokenize
from components.data.mixing.mixture import Mixer, Pieces
from components.data.mixing.tokenizer import FILES, load, plain_encoder, save, sizes, train
from components.model.chat_template import END_OF_TEXT, SPECIAL_TOKENS
from components.runner import Outputs
from components.training.packing import TokenArray, TokenRows, documents_path, fill, pack, write_rows

INPUTS = ("documents", "synthetic")
STAGES = ("stage_1", "stage_2", "stage_3")
SAMPLES = 2


@dataclass(frozen=True)
class Vocabulary:
    """What a reader of token rows must know."""

    tokenizer: Tokenizer
    size: int
    padded_size: int
    end_of_text: int

    def totals(self) -> dict[str, int | float | str]:
        return {"vocab_size": self.size, "padded_vocab_size": self.padded_size, "padding_token": self.end_of_text}


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the outputs `tokenizer`, `stage_1`, `stage_2`, `stage_3` and `held_out`.

    Raises:
        ConfigError: the tokenizer to use cannot be loaded.
        ArtifactError: a source that a stage gives weight to has no documents.
    """
    vocabulary = _make_tokenizer(config, inputs, outputs)
    corpus = _tokenize(config, inputs, outputs, vocabulary)
    outputs.report.table(
        "Corpus", ["class", "documents", "tokens", "held out"],
        [[name, int(mine.sum()), int(corpus.lengths[mine].sum()), int(corpus.held_out[mine].sum())]
         for name in sorted(set(corpus.classes)) for mine in [corpus.classes == name]],
    )  # fmt: skip
    mixers = {
        name: Mixer(corpus, config.mixture(name), (config.seed, number), vocabulary.end_of_text)
        for number, name in enumerate(STAGES, 1)
    }
    for number, (name, mixer) in enumerate(mixers.items()):
        _write_stage(name, mixer, config, outputs, vocabulary, share_done=0.5 + number / 6)
    _write_held_out(config, corpus, outputs, vocabulary)


def _make_tokenizer(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> Vocabulary:
    outputs.progress.update(0, 1, "tokenizer")
    directory = outputs.directory("tokenizer")
    path = directory / FILES[0]
    if path.is_file():   # of an interrupted run
        tokenizer = Tokenizer.from_file(str(path))
    elif config.tokenizer.path:
        tokenizer = load(config.tokenizer.path)
    else:
        tokenizer = train(_training_texts(config, inputs), config.tokenizer.vocab_size)
    files = save(tokenizer, directory)
    used, padded = sizes(tokenizer, config.tokenizer.pad_to_multiple)
    vocabulary = Vocabulary(tokenizer, used, padded, tokenizer.get_vocab()[END_OF_TEXT])
    outputs.finish("tokenizer", "tokenizer", [describe_shard(directory, file) for file in files], vocabulary.totals())
    return vocabulary


def _training_texts(config: Config, inputs: dict[str, Artifact]) -> Iterator[str]:
    """Texts that no held-out document is among, up to the limit for each input; special tokens cut out."""
    for name in INPUTS:
        left = config.tokenizer.train_characters
        for document in read_documents(inputs[name]):
            if is_held_out(document["id"], config.held_out_share):
                continue
            text = document["text"][:left]
            left -= len(text)
            for token in SPECIAL_TOKENS:
                text = text.replace(token, "\n")
            yield text
            if left <= 0:
                break


def _tokenize(config: Config, inputs: dict[str, Artifact], outputs: Outputs, vocabulary: Vocabulary) -> Corpus:
    """Web documents are encoded with special tokens disabled, synthetic ones (rendered conversations) with them."""
    encoders = {"documents": plain_encoder(vocabulary.tokenizer), "synthetic": vocabulary.tokenizer}
    sources = [(name, index, path) for name in INPUTS for index, path in enumerate(inputs[name].paths())]
    directory = outputs.work / "tokens"
    directory.mkdir(exist_ok=True)
    files = []
    for done, (name, index, source) in enumerate(sources):
        outputs.progress.update(0.05 + 0.45 * done / len(sources), 1, f"tokenising {name}, shard {index + 1}")
        file = directory / f"{name}-{index:05d}.npy"
        if not file.with_suffix(".json").exists():
            tokenize(read_parquet(source), file, encoders[name], vocabulary.end_of_text, synthetic=name == "synthetic")
        files.append(file)
    return Corpus(files, config.held_out_share)


def _write_stage(
    name: str, mixer: Mixer, config: Config, outputs: Outputs, vocabulary: Vocabulary, share_done: float
) -> None:
    mixture = config.mixture(name)
    directory = outputs.directory(name)
    (outputs.work / name).mkdir(exist_ok=True)
    shards: list[Shard] = []
    for index, start in enumerate(range(0, mixture.rows, config.shard_rows)):
        outputs.progress.update(share_done + start / mixture.rows / 6, 1, f"{name}: row {start} of {mixture.rows}")
        rows = min(config.shard_rows, mixture.rows - start)
        path = directory / f"rows-{index:05d}.npy"
        state = outputs.work / name / f"rows-{index:05d}.json"   # written after the rows it belongs to
        if state.exists():
            mixer.restore(json.loads(state.read_text()))
        else:
            write_rows(directory, index, *mixer.shard(index, rows))
            write_json(state, mixer.state())
        shards.append(describe_shard(directory, path, rows))
        shards.append(describe_shard(directory, documents_path(path), rows, role="documents"))
    tokens = mixture.rows * mixture.sequence_length
    content = int(mixer.packed.sum())
    totals: dict[str, int | float | str] = {
        "rows": mixture.rows,
        "tokens": tokens,
        "sequence_length": mixture.sequence_length,
        "packing_efficiency": round(content / tokens, 6),
        "unused_tokens": mixer.waiting_tokens,
        **vocabulary.totals(),
    }
    for source, packed, drawn in zip(mixer.sources, mixer.packed.tolist(), mixer.drawn.tolist(), strict=True):
        totals[f"tokens_{source.name}"] = packed
        totals[f"share_{source.name}"] = round(packed / content, 6)
        totals[f"epochs_{source.name}"] = round(drawn / source.tokens_per_epoch(), 4)
    outputs.finish(name, "tokens", shards, totals)
    outputs.metrics.update({f"{name}_{key}": float(value) for key, value in totals.items() if key != "padding_token"})
    paths = [directory / shard.path for shard in shards if shard.role == "data"]
    _report_stage(name, mixer, mixture, totals, paths, outputs, vocabulary)


def _report_stage(
    name: str,
    mixer: Mixer,
    mixture: Mixture,
    totals: dict[str, int | float | str],
    paths: list[Path],
    outputs: Outputs,
    vocabulary: Vocabulary,
) -> None:
    columns = ["source", "share wanted", "share", "tokens", "epochs"]
    rows = [
        [source, f"{share:.3f}", f"{totals[f'share_{source}']:.3f}", totals[f"tokens_{source}"],
         f"{totals[f'epochs_{source}']:.2f}"]
        for source, share in mixture.weights.items()
    ]  # fmt: skip
    efficiency = float(totals["packing_efficiency"])
    heading = f"{name}: {totals['rows']:,} rows of {mixture.sequence_length}, {efficiency:.2%} of positions used"
    outputs.report.table(heading, columns, rows)
    short = [source.name for source, share in zip(mixer.sources, mixer.shares, strict=True)
             if share < mixture.weights[source.name] - 1e-9]  # fmt: skip
    if short:
        outputs.report.text(
            f"{name}: too few documents",
            f"{', '.join(short)}: {mixture.maximum_epochs:g} passes over all documents give less than the share "
            "wanted; the other web sources make up for it.",
        )
    read = TokenRows(paths)
    picks = np.random.default_rng(len(read)).choice(len(read), min(SAMPLES, len(read)), replace=False)
    outputs.report.samples(f"{name}: rows", [(f"row {row}", _decode(read[int(row)], vocabulary)) for row in picks])


def _decode(row: TokenArray, vocabulary: Vocabulary) -> str:
    """A row as text, its segments set apart."""
    segments = [row[0][row[1] == segment].tolist() for segment in range(1, int(row[1].max()) + 1)]
    decode = vocabulary.tokenizer.decode
    return "\n\n──────────\n".join(decode(segment, skip_special_tokens=False) for segment in segments)


def _write_held_out(config: Config, corpus: Corpus, outputs: Outputs, vocabulary: Vocabulary) -> None:
    """Rows of stage 1's length from the held-out documents, and the list of their ids."""
    length = config.stage_1.sequence_length
    documents = np.flatnonzero(corpus.held_out)
    if not len(documents):
        raise ArtifactError("mixing: no document to hold out: the input has no web documents")
    pieces = Pieces.of(corpus, documents, length)
    order = np.random.default_rng((config.seed, 0)).permutation(len(pieces))
    ends = np.cumsum((pieces.end - pieces.start)[order])
    chosen = order[: max(1, int(np.searchsorted(ends, config.held_out_tokens, side="right")))]
    sequences = [corpus.tokens(int(pieces.document[p]), int(pieces.start[p]), int(pieces.end[p])) for p in chosen]
    packed = pack([len(sequence) for sequence in sequences], length)
    rows = fill(sequences, packed, length, vocabulary.end_of_text)
    directory = outputs.directory("held_out")
    path = write_rows(directory, 0, rows)
    listing = directory / "documents.txt"
    write_text(listing, "".join(f"{corpus.ids[document]}\n" for document in documents))
    synthetic = corpus.classes[pieces.document[chosen]] == SYNTHETIC
    tokens = (pieces.end - pieces.start)[chosen]
    totals: dict[str, int | float | str] = {
        "rows": len(rows),
        "tokens": rows.shape[0] * length,
        "sequence_length": length,
        "documents": len(documents),
        "documents_listed_in": listing.name,
        "tokens_web": int(tokens[~synthetic].sum()),
        "tokens_synthetic": int(tokens[synthetic].sum()),
        **vocabulary.totals(),
    }
    shards = [
        describe_shard(directory, path, len(rows)),
        describe_shard(directory, listing, len(documents), role="documents"),
    ]
    outputs.finish("held_out", "tokens", shards, totals)
    outputs.metrics["held_out_documents"] = float(len(documents))
    outputs.report.table("Held out", ["", "total"], list(totals.items()))
