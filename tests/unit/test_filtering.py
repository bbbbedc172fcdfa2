"""Filtering: math and code pages pass rules that others fail, taggers are deterministic and cannot be spoken to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config import ConfigError
from components.data.filtering.config import Config, ModelTagger, Rules, ScoreWeight, Training
from components.data.filtering.decisions import decide, sampling_weight
from components.data.filtering.masking import CODE, FORMULA, features, language_words, mask, prose_lines, word_tokens
from components.data.filtering.rules import measure
from components.data.filtering.tagger import Panel, Tagger, WordPanel
from components.data.filtering.taggers import Taggers, Tags, train_all
from components.data.quality.labels import document_labels, read_labels

FENCE = "```"
DERIVATION = "\n\n".join(
    ["# Fourier series", "We expand $f$ on the circle.", *(f"$$ a_{n} = \\int f \\cos({n}x) dx $$" for n in range(30)),
     "Hence the claim follows from the lemma above."]
)  # fmt: skip
DOCTESTS = "\n\n".join(
    f"### numpy.function_{n}\n\nParameters\n\nx : array\n\n{FENCE}\n>>> f({n})\n{n}\n>>> f({n})\n{n}\n{FENCE}"
    for n in range(25)
)
LISTING = f"# A parser\n\n{FENCE}c\n" + "    x = y; /* } */\n" * 120 + f"{FENCE}\n\nThat is all."
TABLE = "# Integrals\n\n| f | F |\n|---|---|\n" + "\n".join(f"| $x^{n}$ | $x^{n + 1}/{n + 1}$ |" for n in range(40))
MATH_AND_CODE = {"derivation": DERIVATION, "doctests": DOCTESTS, "listing": LISTING, "table": TABLE}

MENU = "\n".join(f"Menu item {n}" for n in range(60))
SPAM = "Buy cheap watches now\n" * 60
SYMBOLS = "=== >>> ### 123 %%% " * 40


def _fails(text: str) -> list[str]:
    return [one.rule for one in measure(text, mask(text), Rules()) if not one.holds]


def _fineweb_drops(text: str) -> bool:
    """The line rules of FineWeb (Penedo et al. 2024): few lines end a sentence, most are short, or many repeat."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    ends = sum(line.endswith((".", "!", "?", '"')) for line in lines) / len(lines)
    short = sum(len(line) <= 30 for line in lines) / len(lines)
    repeated = sum(len(line) for index, line in enumerate(lines) if line in lines[:index]) / sum(map(len, lines))
    return ends <= 0.12 or short >= 0.67 or repeated >= 0.1


@pytest.mark.parametrize("name", MATH_AND_CODE)
def test_math_and_code_pages_that_web_rules_drop_are_kept(name: str) -> None:
    text = MATH_AND_CODE[name]
    assert _fineweb_drops(text), "the case is one that plain rules lose"
    assert _fails(text) == []


def test_each_rule_still_catches_what_it_is_for() -> None:
    assert _fails("Too short.") == ["too_short"]
    assert _fails(MENU) == ["few_sentences"]
    assert _fails(SPAM) == ["few_sentences", "repeated_lines"]
    assert "few_letters" in _fails(SYMBOLS)


def test_masking_finds_code_and_formulas_and_measures_them() -> None:
    masked = mask(f"Price is $5 and $6.\n\n{FENCE}py\na = '$x$'\n{FENCE}\n\nLet $x^2$ and `f(x)` be $$y\n=1$$ here.")
    assert masked.text == f"Price is $5 and $6.\n\n{CODE}\n\nLet {FORMULA} and {CODE} be {FORMULA} here."
    assert (masked.math, masked.code) == (12 / 61, 16 / 61)
    assert mask(f"{FENCE}\nnever closed $x$\n").text == CODE
    assert prose_lines(mask("# Title\n\n$$x$$\n\n| a |\n\nA sentence with $x$.")) == [f"A sentence with {FORMULA}."]


@pytest.mark.parametrize("unit", ["$ ", "`", "$", "⟦", "$a", "```\n", ". ", "-=", "$$a", " ", '."', "<", "⟦formula⟧"])
def test_hostile_repetition_takes_linear_time(unit: str) -> None:
    def seconds(count: int) -> float:
        text = unit * count + "x"
        start = time.process_time()
        masked = mask(text)
        features(masked), language_words(masked), measure(text, masked, Rules())
        return time.process_time() - start

    assert seconds(80_000) < 40 * (seconds(8_000) + 0.02), "10 times the text may not take 100 times as long"


def test_a_page_cannot_label_itself() -> None:
    tokens = features(mask("__label__math __label__ads\n</s> text"))
    assert not any(token.startswith((b"__label__", b"</s>")) for token in tokens)


@given(st.text())
def test_every_text_can_be_masked_and_read(text: str) -> None:
    masked = mask(text)
    assert 0 <= masked.math <= 1 and 0 <= masked.code <= 1
    tokens = [token.decode() for token in features(masked)] + language_words(masked)
    assert all(token and not set(token) & set(" \t\n\r\v\f\0") for token in tokens)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("taggers")
    train_all(Config(), directory)
    return directory


def test_taggers_tell_languages_and_classes_of_new_text(models: Path) -> None:
    texts = {
        "en": "The weather was fine, so we decided to walk along the coast and have lunch in a village by the sea.",
        "de": "Das Wetter war schön, also gingen wir an der Küste entlang und aßen zu Mittag in einem Dorf, das "
        "am Meer liegt.",
        "fr": "Il faisait beau, alors nous avons décidé de marcher le long de la côte et de déjeuner dans un village "
        "près de la mer.",
        "es": "Hacía buen tiempo, así que decidimos caminar por la costa y comer en un pueblo que está cerca del mar.",
        "ru": "Погода была хорошая, и мы решили пройти вдоль берега моря, а потом пообедать в маленькой деревне, "
        "которая стоит у самой воды, где живут мои друзья.",
    }
    tags = Taggers(models, ModelTagger()).tag(list(texts.values()))
    assert [one.language for one in tags] == list(texts)
    domains = {
        "math": "Lemma. Let $p$ be a prime. Then $a^p - a$ is divisible by $p$. Proof. Induction; expand $(a+1)^p$.",
        "code": f"Call it with a list and it returns an array.\n{FENCE}py\nimport numpy\nnumpy.sort([2])\n{FENCE}",
        "jobs": "We are hiring a cook, full time. Requirements: experience. Salary and benefits. Send your CV today.",
        "ads": "Huge discount, buy now! Free shipping, order online, limited offer, best price, add to cart.",
        "news": "The minister said on Monday that police had closed the road. Officials declined to comment on it.",
    }
    tags = Taggers(models, ModelTagger()).tag(list(domains.values()))
    assert [one.domain for one in tags] == list(domains)
    assert tags[0].scores["reasoning_depth"] > tags[3].scores["reasoning_depth"]
    assert tags[0].scores["knowledge_density"] > tags[4].scores["knowledge_density"]


def test_training_gives_the_same_model_in_another_process(models: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; junk = [bytearray(b'x' * 5_000_000) for _ in range(9)]; del junk\n"
        "from components.data.filtering.taggers import train_all; from components.data.filtering.config import Config\n"
        "train_all(Config(), Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    texts = [*MATH_AND_CODE.values(), MENU, SPAM]
    assert Taggers(tmp_path, ModelTagger()).tag(texts) == Taggers(models, ModelTagger()).tag(texts)
    for path in models.glob("*.bin"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_panel_says_what_fasttext_says(models: Path) -> None:
    texts = [*MATH_AND_CODE.values(), MENU, SPAM, "", "xyzzy", "Wir zeigen, dass die Funktion stetig ist."]
    taggers = {name: Tagger.load(models / f"{name}.bin") for name in ("domain", "reasoning_depth")}
    lines = [features(mask(text)) for text in texts]
    for name, (labels, shares) in Panel(taggers).judge(lines).items():
        for line, row in zip(lines, shares, strict=True):
            expected = taggers[name].predict(token.decode() for token in line)
            assert dict(zip(labels, row.tolist(), strict=True)) == pytest.approx(expected, abs=1e-4)
    language = Tagger.load(models / "language.bin")
    words = [language_words(mask(text)) for text in texts]
    panel = WordPanel(language, word_tokens)
    for _ in range(2):                      # the second time from memory
        for line, row in zip(words, panel.judge(words), strict=True):
            expected = language.predict(token for word in line for token in word_tokens(word))
            assert dict(zip(panel.labels, row.tolist(), strict=True)) == pytest.approx(expected, abs=1e-4)


def test_label_files_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text("language\ttext\n# comment\nen\tone <a|b> two <c|d>¶end\n")
    assert [row.text for row in read_labels(path, ("language", "text"))] == ["one a two c\nend", "one b two d\nend"]
    path.write_text("language\ttext\nen\n")
    with pytest.raises(ConfigError, match=r"labels\.tsv:2: 1 cells"):
        read_labels(path, ("language", "text"))
    path.with_suffix(".jsonl").write_text('{"language": "en", "text": "a <b|c> ¶", "id": "1"}\n{"text": " "}\n')
    with pytest.raises(ConfigError, match=r"labels\.jsonl:2: no `text`"):
        read_labels(path.with_suffix(".jsonl"), ("language", "text"))
    path.with_suffix(".jsonl").write_text('{"language": "en", "text": "a <b|c> ¶", "id": "1"}\n')
    assert [row.text for row in read_labels(path.with_suffix(".jsonl"), ("language", "text"))] == ["a <b|c> ¶"]
    path.write_text("domain\tknowledge_density\treasoning_depth\teducational_value\ttext\nmath\t3\t\t0.4\tx\n")
    with pytest.raises(ConfigError, match="knowledge_density of 'x': '3' is no number from 0"):
        document_labels(path)
    path.write_text("lang\ttext\n")
    with pytest.raises(ConfigError, match="must name the columns language, text"):
        read_labels(path, ("language", "text"))
    with pytest.raises(ConfigError, match="cannot read"):
        read_labels(tmp_path / "missing.tsv", ("language", "text"))
    with pytest.raises(ConfigError, match="two labels"):
        Tagger.train([("en", ["a", "b"])], Training(), 0, tmp_path)


def _tags(text: str, language: str = "en", domain: str = "reference", **scores: float) -> Tags:
    values = dict.fromkeys(("knowledge_density", "reasoning_depth", "educational_value"), 0.5)
    return Tags(mask(text), language, 0.9, domain, {**values, "math_share": 0.0, "code_share": 0.0, **scores})


def _reason(text: str, tags: Tags, config: Config) -> str:
    drop = decide(text, tags, config)
    return drop.reason if drop else "kept"


def test_decisions_follow_the_config() -> None:
    text = "A plain sentence about the sea, which is wide and blue. " * 10
    config = Config(minimum_scores={"educational_value": 0.4}, domain_weights={"ads": 0.0, "math": 2.0})
    assert _reason(text, _tags(text), config) == "kept"
    assert _reason(text, _tags(text, language="de"), config) == "language"
    assert _reason(text, _tags(text, language=""), config) == "kept"
    assert _reason(text, _tags(text, educational_value=0.3), config) == "low_educational_value"
    assert _reason(text, _tags(text, educational_value=0.3, code_share=0.2), config) == "kept"
    assert _reason(text, _tags(text, domain="ads"), config) == "weight_zero"
    rules = (ScoreWeight(score="math_share", above=0.5, weight=1.5),)
    config = Config(domain_weights={"math": 2.0}, score_weights=rules)
    assert sampling_weight("math", _tags(text, math_share=0.6).scores, config) == 3.0
    assert sampling_weight("news", _tags(text).scores, config) == 1.0


def test_details_of_dropped_documents_are_json(models: Path) -> None:
    from components.data.filtering.stage import filter_shard

    record = {"id": "1", "url": "u", "text": MENU}
    mapped = filter_shard([record], Config(languages=()), models)
    assert mapped.rejected[0]["reason"] == "few_sentences"
    assert json.loads(mapped.rejected[0]["detail"])["excerpt"].startswith("Menu item 0")
