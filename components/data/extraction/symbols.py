"""Characters of formulas and their TeX."""

from __future__ import annotations

_GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ "
    "mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω "
    "Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω"
)
_RELATIONS = (
    "le ≤ ge ≥ ne ≠ equiv ≡ approx ≈ sim ∼ simeq ≃ cong ≅ propto ∝ ll ≪ gg ≫ prec ≺ succ ≻ preceq ⪯ succeq ⪰ subset ⊂ "
    "supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ in ∈ notin ∉ ni ∋ mid ∣ nmid ∤ parallel ∥ perp ⊥ vdash ⊢ models ⊨ "
    "leqslant ⩽ geqslant ⩾ asymp ≍ doteq ≐ triangleq ≜ lesssim ≲ gtrsim ≳ sqsubseteq ⊑ trianglelefteq ⊴ dashv ⊣ "
    "triangleleft ◁ triangleright ▷"
)
_OPERATORS = (
    "times × div ÷ pm ± mp ∓ cdot ⋅ cdot · ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ cap ∩ cup ∪ "
    "setminus ∖ wedge ∧ vee ∨ neg ¬ sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcap ⋂ bigcup ⋃ bigwedge ⋀ "
    "bigvee ⋁ bigoplus ⨁ bigotimes ⨂ nabla ∇ partial ∂ surd √ dagger † ddagger ‡ amalg ⨿ ltimes ⋉ rtimes ⋊ uplus ⊎ "
    "sqcup ⊔ sqcap ⊓ boxtimes ⊠ boxplus ⊞"
)
_ARROWS = (
    "to → leftarrow ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ mapsto ↦ longrightarrow ⟶ "
    "longleftarrow ⟵ Longrightarrow ⟹ Longleftarrow ⟸ Longleftrightarrow ⟺ longmapsto ⟼ hookrightarrow ↪ "
    "hookleftarrow ↩ uparrow ↑ downarrow ↓ updownarrow ↕ nearrow ↗ searrow ↘ rightharpoonup ⇀ rightleftharpoons ⇌ "
    "rightsquigarrow ⇝ twoheadrightarrow ↠ rightrightarrows ⇉ leadsto ⤳ Uparrow ⇑ Downarrow ⇓"
)
_OTHERS = (
    "infty ∞ forall ∀ exists ∃ nexists ∄ emptyset ∅ aleph ℵ hbar ℏ ell ℓ wp ℘ Re ℜ Im ℑ angle ∠ triangle △ square □ "
    "blacksquare ■ ldots … cdots ⋯ vdots ⋮ ddots ⋱ langle ⟨ rangle ⟩ langle 〈 rangle 〉 lfloor ⌊ rfloor ⌋ lceil ⌈ "
    "rceil ⌉ lVert ‖ prime ′ therefore ∴ because ∵ top ⊤ bot ⊥ checkmark ✓ diamond ⋄ Diamond ◊ imath ı jmath ȷ eth ð "
    "lbrace ❴ rbrace ❵ degree ° pounds £ S § P ¶"
)


def _parse(*tables: str) -> dict[str, str]:
    symbols: dict[str, str] = {}
    for table in tables:
        words = table.split()
        for command, character in zip(words[::2], words[1::2], strict=True):
            symbols.setdefault(character, "\\" + command)
    return symbols


SYMBOLS: dict[str, str] = {
    **_parse(_RELATIONS, _OPERATORS, _ARROWS, _OTHERS, _GREEK),
    "\u2061": "",
    "\u2062": "",
    "\u2063": ",",
    "\u2064": "",
    "\u200b": "",
    "\u2009": "\\,",
    "\u200a": "\\,",
    "\xa0": "\\ ",
    "\u2003": "\\quad",
    "−": "-",
    "–": "-",
    "∕": "/",
    "⁄": "/",
    "∣": "|",
    "∥": "\\|",
    "‖": "\\|",
    "′": "'",
    "″": "''",
    "‴": "'''",
    "ℝ": "\\mathbb{R}",
    "ℂ": "\\mathbb{C}",
    "ℕ": "\\mathbb{N}",
    "ℤ": "\\mathbb{Z}",
    "ℚ": "\\mathbb{Q}",
    "ℙ": "\\mathbb{P}",
    "ℍ": "\\mathbb{H}",
    "ℒ": "\\mathcal{L}",
    "ℱ": "\\mathcal{F}",
    "ℋ": "\\mathcal{H}",
    "ℬ": "\\mathcal{B}",
    "ℰ": "\\mathcal{E}",
    "ℳ": "\\mathcal{M}",
    "ℛ": "\\mathcal{R}",
    "ℐ": "\\mathcal{I}",
    "ⅆ": "d",
    "ⅇ": "e",
    "ⅈ": "i",
    "µ": "\\mu",
    "Ω": "\\Omega",
    "°": "^{\\circ}",
    "∘": "\\circ",
    "↵": "",
    "‐": "-",
    "ϵ": "\\epsilon",
}
_FUNCTIONS = (
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp lim limsup liminf max min sup inf "
    "det dim ker deg gcd hom arg Pr"
)
FUNCTIONS = frozenset(_FUNCTIONS.split())
ACCENTS: dict[str, dict[str, str]] = {
    "^": {
        "^": "hat",
        "ˆ": "hat",
        "̂": "hat",
        "~": "tilde",
        "˜": "tilde",
        "∼": "tilde",
        "¯": "bar",
        "‾": "overline",
        "―": "overline",
        "_": "overline",
        "→": "vec",
        "⃗": "vec",
        "˙": "dot",
        ".": "dot",
        "¨": "ddot",
        "..": "ddot",
        "⏞": "overbrace",
        "︷": "overbrace",
        "ˇ": "check",
        "˘": "breve",
        "´": "acute",
        "`": "grave",
        "⟶": "overrightarrow",
        "←": "overleftarrow",
        "↔": "overleftrightarrow",
        "−": "overline",
        "-": "overline",
        "︵": "frown",
    },
    "_": {"_": "underline", "¯": "underline", "‾": "underline", "̲": "underline", "⏟": "underbrace", "︸": "underbrace"},
}
