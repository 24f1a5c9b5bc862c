"""Reading aids that the build adds to each chapter, so that the notebooks stay plain text in Jupyter.

* A folded line of the symbols that the chapter's formulas use, each linked to its row on the notation page.
* The first use of a term of the glossary on a page becomes a link to its explanation.

Both are read off the pages themselves: `notation.md` says which symbols there are, `glossary.md` which terms, and a
chapter's formulas and words say which of them it uses.
"""

import re
from dataclasses import dataclass

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

# Letters that belong to TeX's own words are dropped with them; what stays is what a reader sees.
_WORDS = re.compile(r"\\(?:text|textrm|operatorname|mathrm|textstyle|begin|end|substack)\*?\s*\{[^{}]*\}")
_ROMAN = re.compile(r"\{\\rm\s*[A-Za-z]+\s*\}|\\rm\s*[A-Za-z]+|\\mathrm\s+[A-Za-z]")
_SUBSCRIPT = r"_\{?\s*(?:\\(?:text|mathrm)\s*\{\s*([A-Za-z]+)\s*\}|\\rm\s*([A-Za-z]+))\s*\}?"
_NAMED = re.compile(r"(?<![A-Za-z\\])([A-Za-z])" + _SUBSCRIPT)
_GREEK = re.compile(
    "(var)?(alpha|beta|gamma|delta|epsilon|eta|theta|kappa|lambda|mu|nu|pi|rho|sigma|tau|phi|chi|psi|omega)",
    re.IGNORECASE,
)
_ATOM = re.compile(
    r"\\(?P<accent>hat|bar|dot|tilde|mathbb)(?![A-Za-z])\s*\{?\s*\\?(?P<under>[A-Za-z]+)"
    r"|\\(?P<command>[A-Za-z]+)"
    r"|⟦(?P<named>[A-Za-z]_[A-Za-z]+)⟧"
    r"|(?P<letter>[A-Za-z])"
)
_ROW = re.compile(r"^\| \[\$(?P<tex>[^$]+)\$[^\]]*\]\{#(?P<anchor>sym-[\w-]+)\} \| (?P<rest>.*) \|$", re.MULTILINE)
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$]+?)\$", re.DOTALL)

# What is left as it is: fences, headings, words in bold, formulas, roles and code, links, HTML.
_KEPT = (
    r"^ *(?P<fence>`{3,}|~{3,}|:{3,}).*?^ *(?P=fence) *$|^#.*?$|\$\$.+?\$\$|(?<![\\$])\$[^$]+?\$"
    r"|\*\*[^*\n]+\*\*|\{[\w:]+\}`[^`]*`|`[^`\n]*`|!?\[[^\]]*\]\([^)]*\)|<[^>\n]+>"
)
_FLAGS = re.MULTILINE | re.DOTALL


@dataclass(frozen=True)
class Symbol:
    """A row of the notation page.

    Attributes:
        atom: the symbol as ``atoms`` names it, e.g. "\\\\phi" or "K_value".
        tex: the symbol as the page writes it, e.g. "\\\\phi_x".
        anchor: of its row.
        name: a few words.
        pages: the chapters in which it means this; none for all those in which it means nothing else.
    """

    atom: str
    tex: str
    anchor: str
    name: str
    pages: tuple[str, ...]


def atoms(formula: str) -> list[str]:
    r"""The symbols of a formula in the order in which they occur, each once.

    A symbol is a Latin or Greek letter, with its accent (``\hat y``) and with a subscript that is a word (``K_value``
    for ``K_{\text{value}}``); other subscripts are symbols themselves. Words, operators and brackets are none.
    """
    formula = re.sub(r"\\\\\s*\[[^\]]*\]", " ", formula)  # the space after a line
    formula = _NAMED.sub(lambda found: f"⟦{found[1]}_{found[2] or found[3]}⟧", formula)
    formula = _ROMAN.sub(" ", _WORDS.sub(" ", formula))
    seen = []
    for found in _ATOM.finditer(formula):
        if found["accent"]:
            under = found["under"]
            atom = f"\\{found['accent']} " + (f"\\{under}" if _GREEK.fullmatch(under) else under[0])
        elif found["command"]:
            if not _GREEK.fullmatch(found["command"]):
                continue
            atom = f"\\{found['command']}"
        else:
            atom = found["named"] or found["letter"]
        if atom not in seen:
            seen.append(atom)
    return seen


def formulas(text: str) -> list[str]:
    """The formulas of a page's Markdown, leaving out code; those inside directives count."""
    text = _FENCE.sub(lambda found: found[0] if found[0].startswith(("```{", "~~~{")) else "", text)
    return [display or inline for display, inline in _FORMULA.findall(re.sub(r"`[^`\n]*`", "", text))]


def symbols_of(notation: str) -> list[Symbol]:
    """The rows of the notation page that have an anchor.

    A row is ``| [$symbol$]{#sym-anchor} | name; explanation | … |``. In a table of three columns the last one links the
    chapters in which the symbol means this.

    Raises:
        ValueError: two rows with the same anchor, or with the same symbol for the same chapter.
    """
    found = []
    for row in _ROW.finditer(notation):
        cells = row["rest"].split(" | ")
        pages = tuple(re.findall(r"\]\((\w+)\.ipynb\)", cells[-1])) if len(cells) == 2 else ()
        name = re.split(r"[;:,(]", cells[0])[0].strip()
        found.append(Symbol(atoms(row["tex"])[0], row["tex"], row["anchor"], name, pages))
    meanings = [(s.atom, page) for s in found for page in s.pages or ("every chapter",)]
    for what, keys in (("anchor", [s.anchor for s in found]), ("symbol", meanings)):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"the notation page has the same {what} twice: {twice}")
    return found


def used_on(page: str, text: str, symbols: list[Symbol]) -> tuple[list[Symbol], list[str]]:
    """The symbols of the notation page that a chapter's formulas use, in the notation page's order; and the others.

    A letter that means something of its own in this chapter is found under that meaning. A symbol with an accent or a
    word as its subscript that has no row of its own belongs to its letter's.
    """
    meaning = {symbol.atom: symbol for symbol in symbols if not symbol.pages}
    meaning |= {symbol.atom: symbol for symbol in symbols if page in symbol.pages}
    found, others = set(), []
    for atom in dict.fromkeys(atom for formula in formulas(text) for atom in atoms(formula)):
        known = meaning.get(atom) or meaning.get(re.split(r"[ _]", atom)[-1 if " " in atom else 0])
        if known is not None:
            found.add(known)
        else:
            others.append(atom)
    return [symbol for symbol in symbols if symbol in found], others


def link_symbols(name: str, page: NotebookNode, symbols: list[Symbol]) -> None:
    """Puts the symbols, folded into one line, below the first cell of a chapter that uses any."""
    text = "\n\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    used, _ = used_on(name, text, symbols)
    if not used:
        return
    links = " · ".join(f"[${symbol.tex}$ {symbol.name}](#{symbol.anchor})" for symbol in used)
    first = next(i for i, cell in enumerate(page.cells) if cell.cell_type == "markdown")
    cell = new_markdown_cell(f":::{{dropdown}} Symbols on this page\n{links}\n:::", id="symbols")
    page.cells.insert(first + 1, cell)


def terms_of(glossary: str) -> list[str]:
    """The terms that the glossary explains, in its order: the flush lines of its ``{glossary}`` directives."""
    found = []
    for block in re.findall(r"^```\{glossary\}\n(.*?)^```$", glossary, re.MULTILINE | re.DOTALL):
        found += [line.strip() for line in block.splitlines() if line.strip() and not line[0].isspace()]
    return found


def link_terms(page: NotebookNode, terms: list[str]) -> None:
    """Turns the first use of each term in a page's prose into a link to the glossary; a plural counts as a use."""
    written = {term.casefold(): term for term in terms}
    words = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    either = re.compile(rf"(?P<kept>{_KEPT})|(?<![\w-])(?P<use>(?P<term>{words})s?)(?![\w-])", _FLAGS | re.IGNORECASE)
    for cell in page.cells:
        if cell.cell_type == "markdown":
            cell.source = either.sub(lambda found: _linked(found, written), cell.source)


def _linked(found: re.Match, unused: dict[str, str]) -> str:
    if found["kept"] is not None:
        return found[0]
    term = unused.pop(found["term"].casefold(), None)
    if term is None:
        return found[0]
    return f"{{term}}`{term}`" if found["use"] == term else f"{{term}}`{found['use']} <{term}>`"
