"""Neural path features and the neural path kernel: the library behind the companion to

Lakshminarayanan & Singh, "Neural Path Features and Neural Path Kernel: Understanding the role of gates in deep
learning", NeurIPS 2020, arXiv:2006.10529.

One concept a file: ``gates``, ``networks``, ``paths``, ``kernels``, ``regimes``; ``experiments`` holds the paper's
settings and published numbers, ``training`` runs them, ``results`` and ``claims`` keep what came out.
"""
