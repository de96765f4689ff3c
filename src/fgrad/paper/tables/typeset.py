r"""Words and numbers as LaTeX: what is read in Markdown is set as mathematics where it is some.

Needed are pdflatex and nothing else: no package of symbols, no other encoding.
"""

import re

SYMBOLS = {
    "±": r"\pm", "×": r"\times", "−": "-", "·": r"\cdot", "√": r"\surd", "∇": r"\nabla",
    "‖": r"\|", "≥": r"\ge", "≤": r"\le", "≫": r"\gg", "≪": r"\ll", "≈": r"\approx", "≡": r"\equiv",
    "∞": r"\infty", "→": r"\to", "∈": r"\in", "Σ": r"\Sigma", "Γ": r"\Gamma", "Δ": r"\Delta",
    "α": r"\alpha", "β": r"\beta", "σ": r"\sigma", "χ": r"\chi", "μ": r"\mu", "½": r"\frac12",
    "°": r"^\circ", "ᵀ": r"^\top", "∼": r"\sim",
}  # fmt: skip
"""Character → what it is in mathematics."""

RAISED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹ⁿᵏ", "+-0123456789nk")
LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉ᵢₖₙ", "0123456789ikn")
_RAISED, _LOWERED = ("".join(map(chr, table)) for table in (RAISED, LOWERED))

TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "$": r"\$", "%": r"\%",
    "&": r"\&", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': r"\textquotedbl{}", "–": "--", "—": "---",
    "“": "``", "”": "''", "’": "'", "‘": "`", "…": r"\ldots{}", "\u00a0": "~",
}  # fmt: skip
"""Character → what it is in words."""

_DIGITS = r"\d(?:[\d,]*\d)?(?:\.\d+)?"
_POWER = rf"10[{_RAISED}]+"
_NUMBER = (
    rf"{_DIGITS}[{_RAISED}]+|\(?−?{_DIGITS}(?: ± {_DIGITS}(?: × {_POWER})?)?\)?(?: × {_POWER})?"
)
_TOKENS = re.compile(
    r"``(?P<code>.+?)``"
    r"|(?<![\w*])\*(?P<emphasis>[^*]+?)\*(?![\w*])"
    rf"|(?P<variable>\b[knLα] (?P<relation>[=≥≤≫≪<>]) (?:{_DIGITS}[{_RAISED}]*|[kn]\b))"
    rf"|(?P<number>(?<![\w.])(?:{_NUMBER}))"
    rf"|(?P<raised>[{_RAISED}]+)|(?P<lowered>[{_LOWERED}]+)"
    r"|(?P<letter>\b[knL]\b(?!-))"
    r"|(?P<other>.)",
    re.DOTALL,
)


def typeset(text: str) -> str:
    r"""A text with the markup of captions, ``*emphasis*`` and double backquotes, as LaTeX.

    >>> print(typeset("63.04 ± 0.06 %, (1.2 ± 0.3) × 10⁻⁵, frog k = 16"))
    $63.04 \pm 0.06$ \%, $(1.2 \pm 0.3) \times 10^{-5}$, frog $k = 16$
    >>> print(typeset("*worse* than ``a_b`` & co."))
    {\normalfont\itshape worse} than {\normalfont\ttfamily a\_b} \& co.
    """
    return "".join(_token(found) for found in _TOKENS.finditer(text))


def _token(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "code":
        return rf"{{\normalfont\ttfamily {_plain(found['code'])}}}"
    if kind == "emphasis":  # captions are in small capitals, which have no italics
        return rf"{{\normalfont\itshape {typeset(found['emphasis'])}}}"
    if kind in ("variable", "relation", "letter", "raised", "lowered"):
        return f"${_mathematics(text)}$"
    return _number(text) if kind == "number" else _plain(text)


def _number(text: str) -> str:
    """Mathematics where there is some; brackets that are not the number's are words'."""
    if re.fullmatch(_DIGITS, text):
        return text
    if text.startswith("(") != (")" in text) or (text.startswith("(") and "±" not in text):
        return "".join(_plain(one) if one in "()" else _number(one) for one in _around(text))
    return f"${_mathematics(text)}$"


def _around(text: str) -> list[str]:
    return [part for part in re.split(r"([()])", text) if part.strip()]


def _mathematics(text: str) -> str:
    text = re.sub(rf"[{_RAISED}]+", lambda one: f"^{{{one[0].translate(RAISED)}}}", text)
    text = re.sub(rf"[{_LOWERED}]+", lambda one: f"_{{{one[0].translate(LOWERED)}}}", text)
    text = re.sub(r"(?<=\d),(?=\d)", "{,}", text)
    # a command ends with a space
    symbols = {one: f"{name} " if name.startswith("\\") else name for one, name in SYMBOLS.items()}
    return "".join(symbols.get(one, one) for one in text).replace("  ", " ")


def _plain(text: str) -> str:
    return "".join(f"${SYMBOLS[one]}$" if one in SYMBOLS else TEXT.get(one, one) for one in text)


_WIDE = {
    **dict.fromkeys("±×=≥≤", 1.34), **dict.fromkeys("−≫≪→", 1.0),
    **dict.fromkeys(" .,:;·|'", 0.28), **dict.fromkeys("ijlt()/-", 0.35),
    **dict.fromkeys("mw%&", 0.84), **dict.fromkeys(_RAISED + _LOWERED, 0.40), "⁻": 0.68,
}  # fmt: skip


def width(text: str) -> float:
    """Width of a text of one line in Times and Computer Modern, in ems, hardly ever too little."""
    return sum(_WIDE.get(one, 0.75 if one.isupper() else 0.5) for one in text if one not in "*`")
