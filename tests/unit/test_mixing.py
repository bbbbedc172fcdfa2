"""Mixing: special tokens cannot be injected, shares are met, held-out documents stay out, tokenizers load elsewhere."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from components.artifacts import ArtifactError
from components.config import ConfigError, build
from components.data.mixing.config import SYNTHETIC, WEB, Config, Mixture
from components.data.mixing.corpus import Corpus, hash_share, tokenize
from components.data.mixing.mixture import Mixer, feasible_shares
from components.data.mixing.tokenizer import load, plain_encoder, save, train
from components.model.chat_template import SPECIAL_TOKENS, render
from components.training.packing import TokenRows, efficiency, write_rows
from components.training.schedule import decay_begins, learning_rate
from pipelines.profile import load_profile

TEXTS = [f"The sum of {i} and {i + 7} is {2 * i + 7}.\n\n    def f(x):\n        return x + {i}\n" for i in range(300)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(TEXTS, 400)


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    save(tokenizer, directory)
    return directory


@given(st.lists(st.one_of(st.sampled_from(SPECIAL_TOKENS), st.text(), st.sampled_from(["<|", "think>", "|>", "</"]))))
@settings(max_examples=200)
def test_no_page_can_inject_a_special_token(parts: list[str]) -> None:
    tokenizer = _TOKENIZER
    special = {tokenizer.token_to_id(name) for name in SPECIAL_TOKENS}
    text = "".join(parts)
    ids = plain_encoder(tokenizer).encode(text, add_special_tokens=False).ids
    assert special.isdisjoint(ids)
    assert tokenizer.decode(ids, skip_special_tokens=False) == text, "and nothing of the text is lost"


_TOKENIZER = train(TEXTS, 300)


def test_special_tokens_are_one_token_each_and_thoughts_survive_decoding(saved: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(saved)
    text = render([{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "<think>\n4\n</think>\n4"}])
    ids = tokenizer(text)["input_ids"]
    for name in SPECIAL_TOKENS[1:]:
        assert ids.count(tokenizer.convert_tokens_to_ids(name)) == text.count(name)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "user\n2+2\nassistant\n<think>\n4\n</think>\n4\n"
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    assert [tokenizer.decode([token]) for token in tokenizer("a1234")["input_ids"]] == ["a", "1", "2", "3", "4"]


@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()})),
    st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_render_equals_the_jinja_template(messages: list[dict[str, str]], prompt: bool) -> None:
    tokenizer = _HF_TOKENIZER
    if messages:   # transformers refuses an empty conversation
        expected = tokenizer.apply_chat_template(messages, add_generation_prompt=prompt, tokenize=False)
        assert render(messages, prompt) == expected


def _hf_tokenizer() -> AutoTokenizer:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        save(_TOKENIZER, Path(directory))
        return AutoTokenizer.from_pretrained(directory)


_HF_TOKENIZER = _hf_tokenizer()


def test_training_gives_the_same_bytes_in_any_process_on_any_number_of_threads(tokenizer: Tokenizer) -> None:
    program = (
        "import sys; from components.data.mixing.tokenizer import train; from tests_texts import TEXTS;"
        "sys.stdout.write(train(TEXTS, 400).to_str())"
    ).replace("from tests_texts import TEXTS", "import json; TEXTS = json.load(sys.stdin)")
    for threads, texts in (("1", TEXTS), ("3", TEXTS[::-1])):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        run = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(texts), env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert run.stdout == tokenizer.to_str()


def test_an_existing_tokenizer_is_taken_and_completed(tokenizer: Tokenizer, saved: Path, tmp_path: Path) -> None:
    assert load(str(saved)).to_str() == tokenizer.to_str()
    plain_encoder(tokenizer).save(str(tmp_path / "tokenizer.json"))
    completed = load(str(tmp_path))
    assert completed.encode("<|im_start|>").ids == [completed.token_to_id("<|im_start|>")]
    with pytest.raises(ConfigError, match="no tokenizer at"):
        load(str(tmp_path / "missing.json"))


def _corpus(directory: Path, tokenizer: Tokenizer, documents: int = 60, share: float = 0.1) -> Corpus:
    generator = np.random.default_rng(0)
    paths = []
    for shard, synthetic in enumerate((False, False, True)):
        rows = [
            {
                "id": f"{shard}-{number}",
                "text": f"{shard} {number} " + "word " * int(generator.integers(5, 400)),
                "domain": ("math", "code", "news")[number % 3],
                "scores": {"sampling_weight": 0.25 if number % 3 == 2 else 1.5},
            }
            for number in range(documents)
        ]
        paths.append(directory / f"{shard}.npy")
        tokenize(rows, paths[-1], plain_encoder(tokenizer), tokenizer.token_to_id("<|endoftext|>"), synthetic=synthetic)
    return Corpus(paths, share)


@given(st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.1, 1000), st.booleans()), min_size=1, max_size=6))
def test_no_source_exceeds_its_limit_while_another_has_room(sources: list[tuple[float, float, bool]]) -> None:
    weights, sizes, is_web = (np.array(column) for column in zip(*sources, strict=True))
    wanted = weights / weights.sum()
    limits = np.where(is_web, 8.0, np.inf)
    shares = feasible_shares(wanted, 1000 * wanted / sizes, limits)
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert np.allclose(shares[~is_web], wanted[~is_web])
    epochs = 1000 * shares / sizes
    over = is_web & (epochs > limits * (1 + 1e-6))
    if over.any():   # then all web sources are, alike
        assert np.allclose(epochs[is_web], epochs[is_web][0])
    else:
        spare = is_web & (epochs < limits * (1 - 1e-6))
        assert (shares[spare] >= wanted[spare] - 1e-9).all()
        ratio = shares[spare] / wanted[spare]
        assert np.allclose(ratio, ratio[:1]), "those with room keep their proportions"


WEIGHTS = {"code": 0.3, "math": 0.4, SYNTHETIC: 0.1, WEB: 0.2}


def test_shares_are_met_rows_are_exact_and_held_out_documents_stay_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = _corpus(tmp_path, tokenizer, documents=24)
    mixture = Mixture(tokens=100_000, sequence_length=128, weights=WEIGHTS)
    mixer = Mixer(corpus, mixture, (0, 1), padding=0)
    rows = np.concatenate([mixer.shard(0, 400)[0], mixer.shard(1, mixture.rows - 400)[0]])
    assert rows.shape == (781, 2, 128)
    assert efficiency(rows) > 0.97
    assert np.allclose(mixer.packed / mixer.packed.sum(), list(WEIGHTS.values()), atol=0.01)
    seen = {document for source in mixer.sources for document in source.pieces.document.tolist()}
    assert corpus.held_out.any() and seen.isdisjoint(np.flatnonzero(corpus.held_out).tolist())
    assert set(np.flatnonzero(corpus.held_out)) == {
        index for index, name in enumerate(corpus.ids) if hash_share(name) < 0.1
    }
    assert [source.name for source in mixer.sources if source.epoch == 0] == [SYNTHETIC]


def test_a_row_names_its_documents(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = _corpus(tmp_path, tokenizer, documents=24)
    mixer = Mixer(corpus, Mixture(tokens=10_000, sequence_length=128, weights=WEIGHTS), (0, 1), padding=0)
    read = TokenRows([write_rows(tmp_path, 0, *mixer.shard(0, 40))])
    for index in range(40):
        tokens, segments = read[index]
        assert len(read.documents(index)) == segments.max()
        for segment, name in enumerate(read.documents(index), 1):
            document = corpus.ids.index(name)
            whole = corpus.tokens(document, 0, int(corpus.lengths[document])).tobytes()
            assert tokens[segments == segment].tobytes() in whole


def test_one_budget_scales_all_three_stages() -> None:
    profile = load_profile("mimo-7b", ["mixing.token_budget=1_000_000_000"])
    mixing = profile.configs["mixing"]
    sizes = [mixing.mixture(f"stage_{number}").tokens for number in (1, 2, 3)]
    assert sum(sizes) == pytest.approx(1e9, abs=2)
    assert np.allclose(np.array(sizes) / 1e9, np.array([17.784, 4, 2]) / 23.784)

    def report(tokens: float) -> tuple[float, float]:   # learning rate and MTP weight (sections 2.2 and 2.3)
        fall = [(10.284e12, 7.5e12, 1.07e-4, 3e-5), (23.284e12, 0.5e12, 3e-5, 1e-5)]
        rate = 1.07e-4 * min(1, tokens / 84e9)
        for start, length, high, low in fall:
            if tokens >= start:
                rate = low + (high - low) * (1 + math.cos(math.pi * min(1, (tokens - start) / length))) / 2
        return rate, 0.3 if tokens < 10.284e12 else 0.1

    before = 0
    for number, size in enumerate(sizes, 1):
        config = profile.configs[f"pretraining_{number}"]
        for share in np.linspace(0, 0.999, 50):
            rate, weight = report((before + share * size) * 23.784e12 / 1e9)
            assert learning_rate(config.learning_rate, share) == pytest.approx(rate, rel=1e-3, abs=1e-9)
            falling = share >= decay_begins(config.learning_rate)
            assert (config.mtp_weight_decayed if falling else config.mtp_weight) == weight
        before += size
    assert profile.configs["pretraining_1"].ramp_share * 17.784e12 == pytest.approx(168e9, rel=1e-3)


def test_a_pass_over_a_source_shows_each_document_as_often_as_its_weight(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = _corpus(tmp_path, tokenizer, documents=600)
    mixer = Mixer(corpus, Mixture(tokens=9_999, sequence_length=4096, weights={WEB: 1.0}), (0, 1), padding=0)
    source = mixer.sources[0]
    seen: dict[str, int] = {}
    while source.epoch == 0:
        document = int(source.pieces.document[source.draw()])
        seen[corpus.classes[document]] = seen.get(corpus.classes[document], 0) + 1
    available = {name: int((~corpus.held_out & (corpus.classes == name)).sum()) for name in seen}
    assert seen["math"] / available["math"] == pytest.approx(1.5, abs=0.1)
    assert seen["news"] / available["news"] == pytest.approx(0.25, abs=0.1)


def test_a_mixer_goes_on_from_its_state(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = _corpus(tmp_path, tokenizer)
    mixture = Mixture(tokens=100_000, sequence_length=128, weights=WEIGHTS)
    whole, halted = (Mixer(corpus, mixture, (0, 1), padding=0) for _ in range(2))
    expected = [whole.shard(index, 100)[0] for index in range(3)]
    halted.shard(0, 100)
    resumed = Mixer(corpus, mixture, (0, 1), padding=0)
    resumed.restore(json.loads(json.dumps(halted.state())))
    assert all(np.array_equal(resumed.shard(index, 100)[0], expected[index]) for index in (1, 2))
    assert resumed.state() == whole.state()


def test_the_order_in_which_weights_are_written_changes_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """KFP hands tables on in any order."""
    corpus = _corpus(tmp_path, tokenizer)
    turned = dict(reversed(WEIGHTS.items()))
    mixtures = [Mixture(tokens=100_000, sequence_length=128, weights=weights) for weights in (WEIGHTS, turned)]
    one, other = (Mixer(corpus, mixture, (0, 1), padding=0).shard(0, 100)[0] for mixture in mixtures)
    assert np.array_equal(one, other)


def test_wrong_weights_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match=r"mixing\.stage_2\.weights: .*sum to 0\.9"):
        build(Config, {"stage_2": {"tokens": 1, "sequence_length": 16, "weights": {WEB: 0.9}}}, "mixing")
    mixture = Mixture(tokens=100, sequence_length=16, weights={"physics": 1.0})
    with pytest.raises(ArtifactError, match="source 'physics'; classes with documents: code, math, news, synthetic"):
        Mixer(_corpus(tmp_path, tokenizer), mixture, (0, 1), padding=0)
