"""What becomes of a tagged document: dropped for a reason, or kept with a sampling weight. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.data.filtering.config import Config
from components.data.filtering.rules import Measure, is_protected, measure
from components.data.filtering.taggers import Tags


@dataclass(frozen=True)
class Drop:
    """Why a document is dropped: the value that fell short of (or went over) its bound."""

    reason: str
    value: float
    bound: float
    note: str = ""


def decide(text: str, tags: Tags, config: Config) -> Drop | None:
    """The first reason to drop a document, if there is one: language, rules, scores, class."""
    foreign = bool(config.languages and tags.language) and tags.language not in config.languages
    if foreign and tags.language_confidence >= config.language_confidence:
        return Drop("language", tags.language_confidence, config.language_confidence, tags.language)
    for one in [*measure(text, tags.masked, config.rules), *score_measures(tags.scores, config)]:
        if not one.holds:
            return Drop(one.rule, one.value, one.bound)
    if sampling_weight(tags.domain, tags.scores, config) == 0:
        return Drop("weight_zero", 0.0, 0.0, tags.domain)
    return None


def score_measures(scores: Mapping[str, float], config: Config) -> list[Measure]:
    """Bounds on scores; none for a page with a good share of formulas or code."""
    if is_protected(scores["math_share"], scores["code_share"], config.rules):
        return []
    return [Measure(f"low_{name}", scores[name], bound, True) for name, bound in config.minimum_scores.items()]


def sampling_weight(domain: str, scores: Mapping[str, float], config: Config) -> float:
    """How often one pass over the documents shows this one, on average."""
    weight = config.domain_weights.get(domain, 1.0)
    for rule in config.score_weights:
        if rule.applies(scores[rule.score]):
            weight *= rule.weight
    return weight
