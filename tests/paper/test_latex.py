"""LaTeX: characters and layout by themselves, and all tables compiled in the class of the paper."""

import re
import shutil
from pkgutil import resolve_name

import pytest
import summaries
import yaml
from compiled import check
from projects import ROOT

from fgrad.errors import ConfigError
from fgrad.paper import contents, scale
from fgrad.paper.tables import document, latex
from fgrad.paper.tables.latex import Column
from fgrad.paper.tables.table import write
from fgrad.paper.tables.typeset import typeset
from fgrad.plan import runs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a & b_c # 1 ~ 2 ^ 3 {x} \\ $5", r"a \& b\_c \# 1 \textasciitilde{} 2 \textasciicircum{} 3 \{x\} \textbackslash{} \$5"),
        ("1.2 × 10⁻⁵", r"$1.2 \times 10^{-5}$"),
        ("(63.04 ± 0.06) × 10⁵ (1 of 2)", r"$(63.04 \pm 0.06) \times 10^{5}$ (1 of 2)"),
        ("−2506.623 ± 1 × 10⁻⁹", r"$-2506.623 \pm 1 \times 10^{-9}$"),
        ("12,300 ± 300", r"$12{,}300 \pm 300$"),
        ("frog, k = 16", "frog, $k = 16$"),
        ("n ≫ k: 95 %", r"$n \gg k$: 95 \%"),
        ("√(n/k), ‖∇f‖²", r"$\surd$($n$/$k$), $\|$$\nabla$f$\|$$^{2}$"),
        ("Styblinski–Tang, “q”, 15°", r"Styblinski--Tang, ``q'', 15$^\circ$"),
    ],
)  # fmt: skip
def test_typeset(text, expected):
    assert typeset(text) == expected


def test_every_text_of_the_contents_is_typeset_in_ascii():
    texts = [one.caption for one in contents.FIGURES.values()]
    texts += [one.caption for one in contents.TABLES.values()]
    texts += [section.heading for section in contents.SECTIONS.values()]
    for text in texts:
        assert typeset(text).isascii(), text


def columns(rows: int, values: int, cell: str = "1.0 ± 0.2") -> list[Column]:
    named = [Column("function", ("Sphere",) * rows, names=True, text=True)]
    named += [Column("n", tuple(map(str, range(rows))), names=True)]
    return named + [Column(f"k = {i}", (cell,) * rows, under="frog") for i in range(values)]


def test_the_place_follows_the_width():
    for values, place, size in ((2, "table", "footnotesize"), (6, "table*", "footnotesize")):
        text = latex.floats(columns(3, values), "Words.", "tab:a")
        assert rf"\begin{{{place}}}[!t]" in text
        assert rf"\{size}" in text
        assert text.count(r"\caption") == 1


def test_what_is_too_wide_is_cut_into_parts_with_the_names_of_rows():
    text = latex.floats(columns(3, 30), "Words. More.", "tab:a")
    parts = text.split(r"\end{table*}")[:-1]
    assert len(parts) > 1
    assert sum(part.count("$k = ") for part in parts) == 30
    for part in parts:
        assert part.count("Sphere") == 1
        assert re.search(r"^0 & ", part, re.M)
    assert text.count(r"\label") == 1
    assert text.count(r"\addtocounter{table}{-1}") == len(parts) - 1
    assert text.count("(continued)") == len(parts) - 1


def test_what_is_too_long_is_several_floats_with_every_row_once():
    text = latex.floats(columns(264, 2), "Words.", "tab:a")
    floats = text.split(r"\end{table}")[:-1]
    numbers = [int(n) for n in re.findall(r"^(\d+) & ", text, re.M)]
    assert numbers == list(range(264))
    sizes = [len(re.findall(r"^\d+ & ", one, re.M)) for one in floats]
    assert max(sizes) - min(sizes) < 12


def test_without_pdflatex_it_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"^pdflatex is not installed; on Debian: apt-get install \S.*$"
    ):
        document.compile_tables([], str(tmp_path / "a.pdf"))


def tables(folder, published: bool):
    """Every table at the paper's scale, with what is published of every row or of none."""
    config = runs.load(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT / "config")[
        0
    ]
    facts, paths = scale.facts(config), []
    for section in contents.SECTIONS.values():
        for one in section.tables:
            frames = [summaries.BY_NAME[name]() for name in one.of]
            given = (
                {"published": reported(frames[0], one.metrics)} if published and one.metrics else {}
            )
            made = resolve_name(one.makes)(*frames, **given)
            csv, markdown, tex, html = (
                str(folder / f"{one.name}.{kind}") for kind in ("csv", "md", "tex", "html")
            )
            note = "3 of 264 runs were made by older code (a_b)."
            caption = f"{section.heading}. {one.caption_of(facts[section.name])}"
            write(made, csv, markdown, tex, html, caption, note)
            paths.append(tex)
    return paths


def reported(frame, metrics) -> list[dict]:
    keys = (
        "model",
        "width",
        "dataset",
        "function",
        "n",
        "angle_deg",
        "gradient",
        "k",
        "aggregation",
    )
    rows = []
    for row in frame.to_dict("records"):
        cell = {
            name: row[name]
            for name in keys
            if name in row and row[name] == row[name] and row[name] is not None
        }
        if row.get("normalized"):
            continue
        cell = {name: value for name, value in cell.items() if str(value) != "<NA>"}
        rows += [
            cell | {"metric": metric, "mean": 98.765432, "std": 0.0123456, "count": 5}
            for metric in metrics
        ]
    return rows


@pytest.mark.latex
@pytest.mark.parametrize("published", [False, True])
def test_all_tables_of_the_papers_scale_compile_and_fit(tmp_path, published):
    pdf = tmp_path / "tables.pdf"
    paths = tables(tmp_path, published)
    check(document.compile_tables(paths, str(pdf)), pdf)
    before = pdf.read_bytes()
    document.compile_tables(paths, str(pdf))
    assert pdf.read_bytes() == before


@pytest.mark.latex
def test_what_is_wrong_is_said_in_the_words_of_latex(tmp_path):
    broken = tmp_path / "broken.tex"
    broken.write_text(r"\nonsense")
    with pytest.raises(ConfigError, match=r"pdflatex ends with an error: ! Undefined control"):
        document.compile_tables([str(broken)], str(tmp_path / "a.pdf"))
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.latex
def test_a_table_that_does_not_fit_is_noticed(tmp_path):
    wide = tmp_path / "wide.tex"
    text = latex.floats(columns(3, 6), "Words.", "tab:wide")
    wide.write_text(text.replace("1.0", "1.0" * 20))
    with pytest.raises(AssertionError):
        check(document.compile_tables([str(wide)], str(tmp_path / "a.pdf")), tmp_path / "a.pdf")
