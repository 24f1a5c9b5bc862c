"""Neural path features and the neural path kernel: the library behind the companion to

Lakshminarayanan & Singh, "Neural Path Features and Neural Path Kernel: Understanding the role of gates in deep
learning", NeurIPS 2020, arXiv:2006.10529.

One concept a module. A network's layers are data (``architectures``), its weights are drawn by ``initialisation`` and
what it computes is in ``networks``; ``paths`` holds the definitions by enumeration, ``kernels`` what two inputs share,
``regimes`` where gates come from, ``experiments`` the paper's settings and published numbers, in the scales of
``profiles``. Of its packages ``theory`` derives, ``training`` runs, ``data`` loads, ``records`` keeps what came out.
"""

__all__ = [
    "answers", "architectures", "data", "experiments", "gates", "initialisation", "kernels", "networks", "paths",
    "profiles", "randomness", "records", "regimes", "signals", "theory", "training",
]  # fmt: skip
