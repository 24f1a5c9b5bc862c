"""A Sphinx extension: signatures on the library's pages as one would write them, and MathJax without its menu.

NumPy's `ArrayLike` is a union that Python spells out, and a field's default that is made anew for each instance shows
as `<factory>`, which Sphinx cannot read. Both take their short forms here. MathJax's ready-made bundle carries a menu
that this book switches off, a third of it: its parts are loaded one by one instead (`mathjax3_config` says which).
"""

from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation


def readable(signature: str) -> str:
    """The signature with `ArrayLike` for what it stands for, and `...` for a default made by a factory."""
    for mode in ("smart", "fully-qualified-except-typing", "fully-qualified"):
        signature = signature.replace(stringify_annotation(ArrayLike, mode), "ArrayLike")
    return signature.replace("<factory>", "...")


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the extension."""

    def shorten(_app, _what, _name, _thing, _options, signature, returns):
        return (readable(signature) if signature else signature), returns

    app.connect("autodoc-process-signature", shorten)
    app.config.mathjax_path = "mathjax/startup.js"  # type: ignore[attr-defined]  # set by sphinx-mathjax-offline before
    return {"parallel_read_safe": True, "parallel_write_safe": True}
