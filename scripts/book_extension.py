"""A Sphinx extension: signatures and formulas on the library's pages as one would write them, and MathJax without menu.

NumPy's `ArrayLike` is a union that Python spells out, and a field's default that is made anew for each instance shows
as `<factory>`, which Sphinx cannot read. Both take their short forms here. A docstring's σ^{2(d-1)} and w_{l-1} are for
who reads the source; on a page they are a power and an index. MathJax's ready-made bundle carries a menu
that this book switches off, a third of it: its parts are loaded one by one instead (`mathjax3_config` says which).
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation


def readable(signature: str) -> str:
    """The signature with `ArrayLike` for what it stands for, and `...` for a default made by a factory."""
    for mode in ("smart", "fully-qualified-except-typing", "fully-qualified"):
        signature = signature.replace(stringify_annotation(ArrayLike, mode), "ArrayLike")
    return signature.replace("<factory>", "...")


# A power or an index: up to what closes its bracket, or else one word, below a single letter.
RAISED = re.compile(r"(?<=\S)(?:(?P<bracket>\^[{(]|_\{)|\^(?P<power>-?\w+)|(?<=\b[^\W\d_])_(?P<index>[^\W²³⁴]+))")


def typeset(text: str) -> Iterator[nodes.Node]:
    """A docstring's text with its powers and indices set as such: σ^{2(d-1)}, Π_{l=1}^{d-1}, K_value."""
    start = 0
    for mark in RAISED.finditer(text):
        if mark.start() < start:  # in a bracket that is done
            continue
        inner, end = mark["power"] or mark["index"], mark.end()
        if mark["bracket"]:
            depth = 1
            while depth and end < len(text):
                depth += (text[end] in "{(") - (text[end] in "})")
                end += 1
            if depth:  # it never closes
                continue
            inner = text[mark.end() : end - 1]
        yield nodes.Text(text[start : mark.start()])
        kind = nodes.superscript if text[mark.start()] == "^" else nodes.subscript
        yield kind("", "", *typeset(inner.replace("-", "−")))
        start = end
    yield nodes.Text(text[start:])


def typeset_page(app: Sphinx, doctree: nodes.document) -> None:
    """Sets the formulas of a library page's text, but for its code and signatures."""
    if app.env.docname.startswith("api_"):
        for text in list(doctree.findall(nodes.Text)):
            above, around = text.parent, []
            while above is not None:
                around.append(above)
                above = above.parent
            if not any(isinstance(n, nodes.literal | nodes.FixedTextElement | addnodes.desc_signature) for n in around):
                text.parent.replace(text, list(typeset(text.astext())))


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension."""

    def shorten(_app, _what, _name, _thing, _options, signature, returns):
        return (readable(signature) if signature else signature), returns

    app.connect("autodoc-process-signature", shorten)
    app.connect("doctree-read", typeset_page)
    app.config.mathjax_path = "mathjax/startup.js"  # type: ignore[attr-defined]  # set by sphinx-mathjax-offline before
    return {"parallel_read_safe": True, "parallel_write_safe": True}
