"""Figures of the book: one style, one colour a regime, and with every figure its provenance.

``style`` holds what all share, ``drawing`` what they are drawn with, each other file one subject. Needs extra ``book``.
"""

from companion.figures.drawing import band, key
from companion.figures.style import COLOURS, LABELS, MARKERS, NORMAL, SMALL, WIDTH, finish, shades, use_style

__all__ = ["COLOURS", "LABELS", "MARKERS", "NORMAL", "SMALL", "WIDTH", "band", "finish", "key", "shades", "use_style"]
