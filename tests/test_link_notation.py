"""The reading aids that the build adds: symbols linked to the notation page, terms to the glossary."""

import importlib
import re
from pathlib import Path

import link_notation
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PROJECT = Path(__file__).resolve().parents[1]

NOTATION = (PROJECT / "book" / "notation.md").read_text()
GLOSSARY = (PROJECT / "book" / "glossary.md").read_text()
SYMBOLS = link_notation.symbols_of(NOTATION)
CHAPTERS = sorted([*(PROJECT / "notebooks").glob("[0-9]*.ipynb"), PROJECT / "notebooks" / "errata.ipynb"])


def prose(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"\hat y(x) = \langle \phi_x, v \rangle", [r"\hat y", "x", r"\phi", "v"]),
        (r"\hat{y} \hat\Sigma \mathbb{E} \bar y", [r"\hat y", r"\hat \Sigma", r"\mathbb E", r"\bar y"]),
        (r"d_{\rm in} + d_{\text{in}} + K_{\mathrm{value}}", ["d_in", "K_value"]),
        (r"l = 1, \dots, d-1", ["l", "d"]),
        (r"\Theta_{\rm f}(l)\, z^{\mathrm f}_x", [r"\Theta", "l", "z", "x"]),
        (r"\operatorname{tr} H \text{ if } n \\[2mm] w", ["H", "n", "w"]),
        (r"\begin{aligned} q &= 1 \end{aligned}", ["q"]),
        (r"\varepsilon \vartheta \sum_i \frac{a}{b}", [r"\varepsilon", r"\vartheta", "i", "a", "b"]),
        (r"", []),
    ],
)
def test_symbols_of_a_formula(formula, expected):
    assert link_notation.atoms(formula) == expected


def test_formulas_are_found_outside_code_and_inside_directives():
    text = (
        "$a$ and `$b$`\n\n```python\nx = '$c$'\n```\n\n```{admonition} Claim\n$d$\n```\n\n$$\ne\n$$\n\nfor \\$5 or so"
    )
    assert [formula.strip() for formula in link_notation.formulas(text)] == ["a", "d", "e"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_symbol_of_a_chapter_is_on_the_notation_page(path):
    indices = NOTATION.split("## Indices and operators", 1)[1].split("\n## ", 1)[0]
    allowed = {atom for formula in link_notation.formulas(indices) for atom in link_notation.atoms(formula)}
    _, others = link_notation.used_on(path.stem, prose(path), SYMBOLS)
    assert set(others) <= allowed, f"{path.stem} uses {sorted(set(others) - allowed)}: add them to book/notation.md"


def test_every_meaning_of_its_own_is_used_where_the_page_says():
    for symbol in SYMBOLS:
        for page in symbol.pages:
            used, _ = link_notation.used_on(page, prose(PROJECT / "notebooks" / f"{page}.ipynb"), SYMBOLS)
            assert symbol in used, f"{page} does not use {symbol.tex} ({symbol.name})"


def test_the_notation_page_holds_every_row_that_looks_like_one():
    assert len(SYMBOLS) == NOTATION.count("{#sym-")
    assert len({symbol.anchor.lower() for symbol in SYMBOLS}) == len(SYMBOLS)


def test_the_notation_page_names_what_the_library_has():
    targets = re.findall(r"\{py:\w+\}`(?:[^`<]*<)?~?(npflib[\w.]+)>?`", NOTATION)
    assert len(targets) > 20
    for target in targets:
        parts = target.split(".")
        cut = next(n for n in range(len(parts), 0, -1) if _is_module(".".join(parts[:n])))
        thing = importlib.import_module(".".join(parts[:cut]))
        for part in parts[cut:]:
            thing = getattr(thing, part)


def _is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def test_a_letter_takes_the_chapters_own_meaning():
    general, own = (
        link_notation.symbols_of(f"| [${tex}$]{{#sym-{anchor}}} | {rest} |")[0]
        for tex, anchor, rest in (("u", "one", "roundoff | 1 | – | –"), ("u_i", "two", "eigenvector | [8](08_x.ipynb)"))
    )
    assert link_notation.used_on("08_x", "$u$", [general, own]) == ([own], [])
    assert link_notation.used_on("01_y", "$u$ and $k$", [general, own]) == ([general], ["k"])


def test_a_symbol_without_a_row_of_its_own_belongs_to_its_letter():
    symbols = link_notation.symbols_of("| [$K$]{#sym-k} | kernel | 1 | – | – |")
    assert link_notation.used_on("01", r"$K_{\rm shared}$ $\dot K$", symbols) == (symbols, [])


@pytest.mark.parametrize("second", ["| [$w$]{#sym-x} | b | c |", "| [$x_i$]{#sym-y} | b | c | d | e |"])
def test_a_symbol_or_an_anchor_given_twice_is_an_error(second):
    with pytest.raises(ValueError, match="twice"):
        link_notation.symbols_of(f"| [$x$]{{#sym-x}} | a | b | c | d |\n{second}")


def test_the_line_of_symbols_stands_below_the_first_cell():
    page = new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("x = 1"), new_markdown_cell("So $x = z$.")])
    link_notation.link_symbols("01", page, link_notation.symbols_of("| [$x_i$]{#sym-x} | an input; more | n | – | – |"))
    assert [cell.cell_type for cell in page.cells] == ["markdown", "markdown", "code", "markdown"]
    assert "[$x_i$ an input](#sym-x)" in page.cells[1].source
    nbformat.validate(page)


def test_a_page_without_symbols_is_left_alone():
    page = new_notebook(cells=[new_markdown_cell("# Title")])
    link_notation.link_symbols("01", page, SYMBOLS)
    assert len(page.cells) == 1


def linked(*cells: str, terms: tuple[str, ...] = ("path", "active path", "NPK")) -> list[str]:
    page = new_notebook(cells=[new_markdown_cell(cell) for cell in cells])
    link_notation.link_terms(page, list(terms))
    return [cell.source for cell in page.cells]


def test_the_first_use_of_a_term_is_linked_and_no_other():
    assert linked("A path and a path.", "A path.") == ["A {term}`path` and a path.", "A path."]


def test_the_longest_term_wins_and_plurals_count():
    assert linked("Active paths are paths.") == ["{term}`Active paths <active path>` are {term}`paths <path>`."]


@pytest.mark.parametrize(
    "text",
    [
        "# A path", "`path`", "$path$", "$$\npath\n$$", "[a path](x.md)", "```python\npath\n```", "{cite}`path`",
        "<b title='path'>", "pathology", "sub-path", "**Path.**", "```{note}\npath\n```", ":::{note}\npath\n:::",
    ],
)  # fmt: skip
def test_what_is_no_prose_is_left_alone(text):
    assert linked(text) == [text]


def test_emphasis_may_hold_a_term():
    assert linked("the *NPK*") == ["the *{term}`NPK`*"]


def test_the_glossary_explains_every_term_once():
    terms = link_notation.terms_of(GLOSSARY)
    assert len(terms) > 40
    assert len({term.casefold() for term in terms}) == len(terms)
    used = {target for _, target in re.findall(r"\{term\}`(?:([^`<]*) <)?([^`<>]+)>?`", GLOSSARY)}
    assert used <= set(terms)
