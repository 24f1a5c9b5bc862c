"""Figures of the book: one style, one colour a regime, and a provenance line under every figure.

Needs the ``book`` extra (matplotlib, seaborn). ``style`` holds what all figures share and ``drawing`` what they are
drawn with; the other files hold the figures of one subject each.
"""

from companion.figures.drawing import band, key
from companion.figures.style import COLOURS, LABELS, MARKERS, NORMAL, SMALL, WIDTH, finish, shades, use_style

__all__ = ["COLOURS", "LABELS", "MARKERS", "NORMAL", "SMALL", "WIDTH", "band", "finish", "key", "shades", "use_style"]
