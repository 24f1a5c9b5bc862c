"""Kernel ridge regression as a classifier, and the kernel read-out of gates: what it, and no network, does with them.

For a kernel K of n training examples, targets Y and a ridge λ > 0, the coefficients and the scores of new examples are

    α = (K + λ I)⁻¹ Y,    f(x) = Σ_i K(x, x_i) α_i,

the minimiser of Σ_i ‖f(x_i) - Y_i‖² + λ ‖f‖² over the kernel's function space; the class of the largest score is
predicted. With K = ΦΦᵀ it is ridge regression on the features Φ: f(x) = φ(x)ᵀ (ΦᵀΦ + λ I)⁻¹ ΦᵀY.

* **Targets** are one-hot less 1/C: their mean over the classes is 0, and since there is no intercept, an example that
  is like no other gets the score 0 for every class.
* **The ridge is relative**: λ = ridge · tr K / n, so that a kernel's scale, which means nothing here, drops out. It is
  chosen on training examples held out from the fit (:func:`choose_ridge`), never on a test set.
* **The zero kernel** has the function space {0}, so f = 0 is the minimiser; every α gives it, and 0 is taken, the least
  in norm. It is what gates that are shut for every training example leave: all classes tie, for every example.
* **Precision** is float64; each ridge takes one Cholesky factorisation (n³/3 operations). A kernel that was computed in
  float32 is refused where the ridge does not lift it above rounding (:func:`npflib.kernels.well_above_rounding`).
* **A ValueError** refuses kernels that are not square, symmetric and finite or are singular to working precision at a
  ridge, targets or labels that do not match, ridges that are not numbers ≥ 0, and a fit of more bytes than ``memory``.

**Kernel read-out of gates.** By the fixed-gate theorem (Claim 4) a wide value network behind fixed gates does kernel
regression with their neural path kernel H = Σ ∘ Λ. So ridge regression with H is a read-out of the gates that trains
nothing: only the gates differ from one read-out to the next. Λ = 1, all gates open, leaves the linear kernel Σ: what
the inputs say without any. Gates are hard: then ⟨G_s, G_s'⟩ counts units, exactly in float32 up to 2²⁴; the counts are
multiplied in float64.

Source: Saunders, Gammerman & Vovk (1998), "Ridge regression learning algorithm in dual variables".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from npflib import checks
from npflib.answers import answers
from npflib.kernels import checked_kernel, cholesky, square
from npflib.networks import DeepGatedNetwork, ReLUNetwork, hard_gates
from npflib.randomness import generator

__all__ = ["KernelClassifier", "KernelReadOut", "choose_ridge", "class_targets", "fit", "memory_needed", "ridge_path"]

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MEMORY = 8 * 2**30  # bytes that a fit may take unless told otherwise
CHUNK = 1000


@dataclass(frozen=True, eq=False)
class KernelClassifier:
    """A fitted machine: α [n, C], float64, and the ridge relative to the kernel's mean diagonal entry.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import fit
        >>> machine = fit(torch.eye(2), torch.tensor([0, 1]), ridge=1.0)  # α = Y / 2, Y = ±½
        >>> machine.scores(torch.tensor([[1.0, 0.0]]))
        tensor([[ 0.2500, -0.2500]], dtype=torch.float64)
    """

    coefficients: Tensor
    ridge: float

    def scores(self, rows: Tensor) -> Tensor:
        """f(x) for K(x, x_i), [m, n] → [m, C], float64."""
        n = len(self.coefficients)
        if checks.tensor(rows, "rows of the kernel", f"[m, {n}]").ndim != 2 or rows.shape[1] != n:
            raise ValueError(f"rows of the kernel must be [m, {n}], n examples fitted; got {tuple(rows.shape)}.")
        return checks.finite(rows.to(self.coefficients) @ self.coefficients, "rows of the kernel")

    def predict(self, rows: Tensor) -> Tensor:
        """Class of the largest score, int64 [m]; of equal ones the lowest (:mod:`npflib.answers`)."""
        return answers(self.scores(rows))

    def accuracy(self, rows: Tensor, labels: Tensor) -> float:
        """Share of the examples whose class is predicted; rows [m, n], labels [m], m ≥ 1."""
        predicted = self.predict(rows)
        if checks.tensor(labels, "labels", "[m]").shape != predicted.shape or not len(labels):
            raise ValueError(f"labels must be [m], one for each row, m ≥ 1; got {tuple(labels.shape)}.")
        return (predicted == checks.finite(labels, "labels").to(predicted.device)).double().mean().item()


@dataclass(frozen=True)
class RidgeChoice:
    """The relative ridge that :func:`choose_ridge` found, and how accurate each was on how many examples held out."""

    ridge: float
    accuracies: dict[float, float]
    held_out: int

    @property
    def at_edge(self) -> bool:
        """Whether the choice is the least or the greatest of the ridges tried: then try more."""
        return self.ridge in (min(self.accuracies), max(self.accuracies))


def class_targets(labels: Tensor, classes: int | None = None) -> Tensor:
    """Y [n, C], one-hot less 1/C, float64, of labels [n], whole numbers from 0 to C - 1.

    There are C ≥ 2 classes; None takes the largest label plus one, at least 2.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import class_targets
        >>> class_targets(torch.tensor([3, 0]), classes=4)
        tensor([[-0.2500, -0.2500, -0.2500,  0.7500],
                [ 0.7500, -0.2500, -0.2500, -0.2500]], dtype=torch.float64)
    """
    if classes is not None:
        checks.whole(classes, "classes", least=2)
    whole = not checks.tensor(labels, "labels", "[n]").is_floating_point() and labels.dtype != torch.bool
    if labels.ndim != 1 or not len(labels) or not whole:
        raise ValueError(f"labels must be whole numbers [n], n ≥ 1; got {labels.dtype} {tuple(labels.shape)}.")
    low, high = int(labels.min()), int(labels.max())
    classes = classes or max(2, high + 1)
    if low < 0 or high >= classes:
        raise ValueError(f"labels of {classes} classes are 0 to {classes - 1}; got {low} to {high}.")
    return torch.nn.functional.one_hot(labels.long(), classes).double() - 1 / classes


def memory_needed(n: int) -> int:
    """Bytes for a fit on n examples: 8 n² each for the kernel, its copy with the ridge on the diagonal, and the factor.

    Example:
        >>> from npflib.theory.kernel_ridge import memory_needed
        >>> memory_needed(5_000)
        600000000
    """
    return 24 * checks.whole(n, "n", "examples", least=0) ** 2


def ridge_path(kernel: Tensor, targets: Tensor, ridges: Sequence[float] = RIDGES, *, memory: int = MEMORY) -> Tensor:
    """α = (K + ridge · tr K / n · I)⁻¹ Y for several ridges, [R, n, C], float64; 0 where K = 0.

    K [n, n] is symmetric and positive semidefinite, Y [n, C].

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import ridge_path
        >>> ridge_path(torch.diag(torch.tensor([1.0, 3.0])), torch.ones(2, 1), [0.0, 1.0])[:, :, 0]  # mean diagonal 2
        tensor([[1.0000, 0.3333],
                [0.3333, 0.2000]], dtype=torch.float64)
    """
    ridges = _checked_ridges(ridges)
    n = len(square(kernel))
    _check_memory(f"a fit on {n:,} examples", n, memory_needed(n), memory)
    k = checked_kernel(kernel)
    y = checks.finite(checks.tensor(targets, f"targets [{n}, C]").to(k), "targets")
    if y.ndim != 2 or len(y) != n:
        raise ValueError(f"targets must be [{n}, C], a row for each row of the kernel; got {tuple(y.shape)}.")
    if not k.any():
        return k.new_zeros(len(ridges), *y.shape)
    found = []
    for ridge in ridges:
        shifted = k.clone()
        shifted.diagonal().add_(ridge * float(k.diagonal().mean()))
        mend = f"Use a larger relative ridge than {ridge:g}"
        found.append(torch.cholesky_solve(y, cholesky(shifted, kernel.dtype, mend)))
    return torch.stack(found)


def fit(
    kernel: Tensor, labels: Tensor, ridge: float, *, classes: int | None = None, memory: int = MEMORY
) -> KernelClassifier:
    """The machine with one ridge, relative to the kernel's mean diagonal entry, by one Cholesky factorisation.

    K [n, n] of the training examples is symmetric positive semidefinite; their labels [n] and how many classes there
    are as for :func:`class_targets`, and the fit takes ``memory`` bytes at most (:func:`memory_needed`).

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import fit
        >>> x = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> machine = fit(x @ x.T, torch.tensor([0, 0, 1]), ridge=0.01)
        >>> machine.predict(torch.tensor([[1.0, 0.2], [0.1, 3.0]]) @ x.T)
        tensor([0, 1])
    """
    targets = _targets_for(kernel, labels, classes)
    return KernelClassifier(ridge_path(kernel, targets, [ridge], memory=memory)[0], float(ridge))


def choose_ridge(
    kernel: Tensor, labels: Tensor, ridges: Sequence[float] = RIDGES, *, classes: int | None = None, share: float = 0.2,
    seed: int = 0, memory: int = MEMORY,
) -> RidgeChoice:  # fmt: skip
    """The ridge with the highest accuracy on training examples that are held out from the fit.

    Of ridges that are equally accurate the largest is taken, which gives the smoothest function; ``at_edge`` says that
    it is the least or the greatest tried. Fit again on all examples with the ``ridge`` found: it is relative, so it
    keeps its meaning. The other arguments are those of :func:`fit`, of training examples alone, of which ``share`` is
    held out at random by ``seed``, a whole number ≥ 0.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import choose_ridge
        >>> x = torch.linspace(-1, 1, 40)[:, None]
        >>> choose_ridge(x @ x.T, (x[:, 0] > 0).long(), [0.1, 1.0]).ridge  # both are right: the larger
        1.0
    """
    targets = _targets_for(kernel, labels, classes)
    ridges = sorted(set(_checked_ridges(ridges)))
    n = len(labels)
    held = round(share * n) if isinstance(share, int | float) and abs(share) <= 1 else 0
    if not 0 < held < n:
        raise ValueError(f"share = {share!r} of {n} examples holds out {held}; it must leave some on both sides.")
    order = torch.randperm(n, generator=generator(seed, "examples")).to(kernel.device)
    out, rest = order[:held], order[held:]
    path = ridge_path(kernel[rest][:, rest], targets[rest], ridges, memory=memory)
    scores = torch.einsum("mn,rnc->rmc", kernel[out][:, rest].to(path), path)
    right = (answers(scores) == labels[out].to(scores.device)).double().mean(1)
    accuracies = dict(zip(ridges, right.tolist(), strict=True))
    best = max(ridges, key=lambda ridge: (accuracies[ridge], ridge))
    return RidgeChoice(best, accuracies, held)


@dataclass(frozen=True)
class ReadOut:
    """The test accuracy of one set of gates, fitted on all training examples, and what chose the relative ridge."""

    accuracy: float
    ridge: float
    held_out: float  # the accuracy on training examples held out, when fitted on the others
    at_edge: bool


class KernelReadOut:
    """Ridge regression on fixed training and test examples, with the path kernel of any gates.

    Training inputs x [n, …] are flattened, and have classes [n]; those of the test examples, ``new_x`` and
    ``new_labels``, are counted against the predictions and used for nothing else. The rest as for :func:`choose_ridge`,
    whose choice and its accuracy ``held_out`` a reading tells beside its test ``accuracy``.

    Example:
        >>> import torch
        >>> from npflib.architectures import FullyConnected
        >>> from npflib.theory.kernel_ridge import KernelReadOut
        >>> from npflib.networks import ReLUNetwork
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> labels = (x[:, 0] * x[:, 1] > 0).long()  # no linear machine finds it
        >>> reader = KernelReadOut(x[:150], labels[:150], x[150:], labels[150:])
        >>> arch = FullyConnected(depth=3, width=50, in_features=2, out_features=2, bias=False)
        >>> network = ReLUNetwork(arch, torch.Generator().manual_seed(0))  # its gates are random
        >>> reader.read_linear().accuracy < reader.read_network(network).accuracy
        True
    """

    def __init__(
        self,
        x: Tensor,
        labels: Tensor,
        new_x: Tensor,
        new_labels: Tensor,
        *,
        ridges: Sequence[float] = RIDGES,
        seed: int = 0,
        memory: int = MEMORY,
    ):
        for what, inputs, given in (("training ", x, labels), ("test ", new_x, new_labels)):
            checks.labelled(inputs, given, what)
            checks.finite(inputs, f"{what}inputs")
        if x.shape[1:] != new_x.shape[1:] or x.ndim < 2:
            raise ValueError(f"inputs differ: {tuple(x.shape[1:])} to train on and {tuple(new_x.shape[1:])} to test.")
        generator(seed, "examples")
        n, m = len(x), len(new_x)
        _check_memory(f"a read-out of {n:,} and {m:,} examples", n, memory_needed(n) + 8 * n * (n + m), memory)
        self.x, self.labels = x.detach().flatten(1), labels
        self.new_x, self.new_labels = new_x.detach().flatten(1), new_labels
        self.ridges, self.seed, self.memory = tuple(_checked_ridges(ridges)), seed, memory
        self.classes = int(labels.max()) + 1
        self.gram = _gram(self.x.double(), self.x.double())
        self.new_gram = _gram(self.new_x.double(), self.x.double())

    def read_network(self, network: ReLUNetwork | DeepGatedNetwork) -> ReadOut:
        """The hard gates that a network gives the examples."""
        return self.read(*(hard_gates(network, inputs, CHUNK) for inputs in (self.x, self.new_x)))

    def read_linear(self) -> ReadOut:
        """The linear kernel Σ: all gates open."""
        return self._read([], [])

    def read(self, gates: Sequence[Tensor], new_gates: Sequence[Tensor]) -> ReadOut:
        """Gates however they were found: zeros and ones, of the training [n, w_l] and of the test examples [m, w_l]."""
        for what, inputs, given in (("training", self.x, gates), ("test", self.new_x, new_gates)):
            checks.examples(inputs, given)
            checks.hard(given, f"a read-out counts open units, of the {what} examples too")
        if [gate.shape[1] for gate in gates] != [gate.shape[1] for gate in new_gates]:
            raise ValueError("gates of the training and the test examples must come from the same network.")
        return self._read([gate.detach().float() for gate in gates], [gate.detach().float() for gate in new_gates])

    def _read(self, gates: Sequence[Tensor], new_gates: Sequence[Tensor]) -> ReadOut:
        kernel, same = _with_overlap(self.gram, gates, gates), {"classes": self.classes, "memory": self.memory}
        choice = choose_ridge(kernel, self.labels, self.ridges, seed=self.seed, **same)
        machine = fit(kernel, self.labels, choice.ridge, **same)

        parts = zip(self.new_gram.split(CHUNK), *(gate.split(CHUNK) for gate in new_gates), strict=True)
        predicted = [machine.predict(_with_overlap(rows, some, gates)) for rows, *some in parts]
        accuracy = (torch.cat(predicted) == self.new_labels).double().mean().item()
        return ReadOut(accuracy, choice.ridge, choice.accuracies[choice.ridge], choice.at_edge)


def _check_memory(what: str, n: int, needed: int, memory: int) -> None:
    if needed > checks.number(memory, "memory, in bytes,"):
        gib = f"{needed / 2**30:.3g} GiB; allowed are {memory / 2**30:.3g} GiB"
        enough = f"enough for {int(n * (memory / needed) ** 0.5):,}. Take fewer examples, or allow more by `memory`."
        raise ValueError(f"{what} needs {gib}, {enough}")


def _targets_for(kernel: Tensor, labels: Tensor, classes: int | None) -> Tensor:
    targets = class_targets(labels, classes)
    if checks.tensor(kernel, "kernel", "[n, n]").ndim != 2 or len(kernel) != len(labels):
        raise ValueError(f"labels must be one for each row of the kernel {tuple(kernel.shape)}; got {len(labels)}.")
    return targets.to(kernel.device)


def _checked_ridges(ridges: Sequence[float]) -> list[float]:
    found = [checks.number(ridge, "a ridge", least=0) for ridge in (ridges if isinstance(ridges, Iterable) else ())]
    if not found:
        raise ValueError("ridges must be one or more finite numbers ≥ 0; got none.")
    return found


def _gram(x: Tensor, x2: Tensor) -> Tensor:
    """x @ x2ᵀ, by numpy where it can: its product took a third of torch's time (float64, AMD EPYC, one thread)."""
    return torch.from_numpy(x.numpy() @ x2.numpy().T)


def _with_overlap(kernel: Tensor, gates: Sequence[Tensor], gates2: Sequence[Tensor]) -> Tensor:
    """The kernel times Λ [n, m], 1 without gates, in blocks of rows that bound what is held beside both."""
    found = kernel.clone() if gates else kernel
    for one, other in zip(gates, gates2, strict=True):
        for rows, some in zip(found.split(CHUNK), one.split(CHUNK), strict=True):
            rows.mul_(_gram(some, other))
    return found
