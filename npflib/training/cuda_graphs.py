"""A step's gradients as one CUDA graph: a small batch's kernels end sooner than they can be launched one by one.

Off where there is no CUDA, and not yet run on a card. So a graph is used only after its gradients agreed, on the spot,
with those of the step that it recorded.
"""

import logging
from collections.abc import Callable
from functools import partial
from weakref import WeakMethod

import torch
from torch import Tensor

from npflib.training.autograd import AutogradLearner

log = logging.getLogger("npflib")

WARM = 3  # steps in which libraries make what must not be made while a graph is recorded
ROUNDING = 2**-7  # of bfloat16; gradients of other examples differ by about their length


def accelerated(learner: AutogradLearner) -> AutogradLearner:
    """The same learner, whose steps are replayed from a graph where its device is CUDA."""
    if learner.device.type == "cuda":
        learner.gradients = _Replayed(learner, partial(_record, learner.device))  # type: ignore[method-assign]
    return learner


def _record(device: torch.device, step: Callable[[], None]) -> Callable[[], None]:
    """What does again, at one launch, all that ``step`` does on the device."""
    with torch.cuda.device(device):
        graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph, stream=aside):
            step()
    return graph.replay


class _Replayed:
    """In the place of ``AutogradLearner.gradients``: recorded at the first batch; those of other shapes, as ever."""

    def __init__(self, learner: AutogradLearner, record: Callable[[Callable[[], None]], Callable[[], None]]):
        self.step = WeakMethod(learner.gradients)  # a learner that is let go takes its tables along at once
        self.parameters, self.sums = learner.parameters(), (learner.loss, learner.correct)
        self.record: Callable | None = record
        self.replay: Callable[[], None] | None = None

    def __call__(self, chosen: Tensor) -> None:
        if self.replay is not None and chosen.shape == self.chosen.shape:
            self.chosen.copy_(chosen)
            self.replay()
            self._put(self.gradients)  # a step of another shape puts its own in their place
            return
        self.step()(chosen)  # type: ignore[misc]  # the learner is there: it was called
        if self.record is not None:
            record, self.record = self.record, None
            self._try(record, chosen)

    def _put(self, gradients: list[Tensor | None]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient

    def _try(self, record: Callable, chosen: Tensor) -> None:
        """Records the step that was just taken, whose gradients and sums stay."""
        expected, sums = [p.grad for p in self.parameters], [total.clone() for total in self.sums]
        self.chosen = torch.zeros_like(chosen)  # so that a graph that does not read its examples is found out
        try:
            self.replay = record(lambda: self.step()(self.chosen))  # type: ignore[misc]
            self.gradients = [p.grad for p in self.parameters]
            self(chosen)
            now, then = (torch.cat([g.flatten() for g in part if g is not None]) for part in (self.gradients, expected))
            if not (now - then).norm() <= ROUNDING * then.norm():  # NaN is not
                raise RuntimeError("it gives other gradients than the step that it recorded")
        except RuntimeError as error:
            self.replay = None
            log.warning("steps are taken without a CUDA graph: %s", error)
        self._put(expected)
        for total, kept in zip(self.sums, sums, strict=True):
            total.copy_(kept)
