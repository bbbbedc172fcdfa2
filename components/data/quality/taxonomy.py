"""What documents are judged by: one class out of nine, and three qualities on a rubric of six levels.

The teacher that labels, the taggers that learn from its labels and the stage that filters by them use these names. A
label file may use other classes; then all three go by its classes.
"""

from __future__ import annotations

from collections.abc import Mapping

LEVELS = 6   # 0 to 5; a label is level / 5

DOMAINS: Mapping[str, str] = {
    "math": "mathematics and statistics: theorems, derivations, exercises, notation",
    "code": "programming: source code, documentation of software, explanations of programs",
    "science": "natural sciences, engineering, medicine, economics and the like, written to inform",
    "reference": "facts in order: encyclopedias, dictionaries, biographies, history, law, manuals, indexes",
    "news": "reports on current events, sports, celebrities, markets",
    "ads": "sells or promotes a product, a service or an organisation",
    "jobs": "job offers, vacancies, profiles of applicants",
    "forum": "posts and replies of several people",
    "shallow": "everything without substance: menus, notices, lists of links, gossip, small talk, text made for "
    "search engines",
}

RUBRICS: Mapping[str, tuple[str, ...]] = {
    "knowledge_density": (
        "no facts, concepts or methods worth remembering",
        "a few everyday facts among filler",
        "some specific facts, mostly common knowledge or of passing interest",
        "specific facts or concepts in most paragraphs",
        "dense, specific knowledge of a field, little filler",
        "every passage carries specialised, lasting knowledge, as in a good textbook, a specification or a paper",
    ),
    "reasoning_depth": (
        "no reasoning: lists, slogans, descriptions",
        "assertions with hardly any reasons",
        "single steps of explanation or comparison",
        "several connected steps towards a conclusion, some of them left out",
        "a complete chain of many steps: a derivation, a diagnosis, a design with its reasons",
        "long and rigorous multi-step reasoning that considers alternatives, proves or checks its results",
    ),
    "educational_value": (
        "teaches nothing",
        "touches on a subject without explaining it",
        "explains in passing, disordered, or mixed with much that is irrelevant",
        "suitable for study by someone who looks for it: coherent and mostly clear",
        "clear and well organised, with definitions, examples or exercises",
        "outstanding teaching material: self-contained, clear, leads the reader from the basics to understanding",
    ),
}
QUALITIES = tuple(RUBRICS)
