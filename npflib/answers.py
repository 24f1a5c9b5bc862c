"""The class that scores name, and the share of right answers: one rule for every accuracy, ties included.

The answer is the class of the largest score, and of equal largest scores the lowest class. It is read off the scores
themselves, never off a function of them: log softmax rounds, and makes ties of scores that differ (0 and 10⁻²⁰ both
become -log 2), so that accuracies would depend on what else a loop computes. A single output answers by its sign, and
an output of 0, which has none, is no answer (:func:`npflib.training.losses.squared`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from npflib import checks

CHUNK = 1000


def answers(scores: Tensor) -> Tensor:
    """argmax_c of scores [..., C], int64 [...]; of equal largest scores the lowest class.

    Example:
        >>> import torch
        >>> from npflib.answers import answers
        >>> answers(torch.tensor([[0.0, 1e-20], [2.0, 2.0]]))
        tensor([1, 0])
    """
    return checks.tensor(scores, "scores", "[..., C]", kind="floating").argmax(
        -1
    )  # of several maxima the first: torch promises it


@torch.no_grad()
def accuracy(network: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, chunk: int = CHUNK) -> float:
    """Share of the examples x [n, …] that a network, x → scores [n, C], puts into the class of their label [n].

    Example:
        >>> import torch
        >>> from npflib.answers import accuracy
        >>> accuracy(lambda x: x, torch.eye(4), torch.tensor([0, 1, 2, 2]))
        0.75
    """
    checks.whole(chunk, "chunk", "examples")
    checks.labelled(x, labels)
    parts = zip(x.split(chunk), labels.split(chunk), strict=True)
    return sum(int((answers(network(part)) == y).sum()) for part, y in parts) / len(x)
