"""Kernel ridge regression as a classifier: the machine that reads a kernel.

For a kernel K of n training examples, their labels as targets Y and a ridge λ > 0, the coefficients and the scores of
new examples are

    α = (K + λ I)⁻¹ Y,    f(x) = Σ_i K(x, x_i) α_i,

the minimiser of Σ_i ‖f(x_i) - Y_i‖² + λ ‖f‖² over the kernel's function space; the class of the largest score is
predicted. With K = ΦΦᵀ it is ridge regression on the features Φ: f(x) = φ(x)ᵀ (ΦᵀΦ + λ I)⁻¹ ΦᵀY.

* **Targets** are one-hot less 1/C: their mean over the classes is 0, and since there is no intercept, an example that
  is like no other gets the score 0 for every class.
* **The ridge is relative**: λ = ridge · tr K / n, so that a kernel's scale, which means nothing here, drops out.
* **The zero kernel** has the function space {0}, so f = 0 is the minimiser whatever the targets and the ridge (any
  multiple of its trace is 0 too). Every α gives it; α = 0 is taken, the least in norm. It is what gates that are shut
  for every training example leave: all classes tie, for every example.
* **It is chosen on training examples held out from the fit** (:func:`choose_ridge`), never on a test set.
* **Precision** is float64; no inverse is formed. A single ridge takes one Cholesky factorisation (n³/3 operations), a
  long list of ridges one eigendecomposition. A kernel that was computed in float32 carries that type's rounding, and is
  refused where the ridge does not lift it above that (:func:`npflib.kernels.well_above_rounding`).

Source: Saunders, Gammerman & Vovk (1998), "Ridge regression learning algorithm in dual variables". For a wide network
behind fixed gates the kernel that counts is the neural path kernel (Claim 4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from npflib.answers import answers
from npflib.kernels import well_above_rounding
from npflib.randomness import generator

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MEMORY = 8 * 2**30  # bytes that a fit may take unless told otherwise
METHODS = ("cholesky", "eigen")
# An eigendecomposition took as long as 12 to 14 Cholesky factorisations of the same kernel (n = 2,000 and 4,000).
CHOLESKY_UP_TO = 12
CHUNK = 1000

Rows = Tensor | Callable[[slice], Tensor]


@dataclass(frozen=True, eq=False)
class KernelClassifier:
    """A fitted machine.

    Attributes:
        coefficients: α [n, C], float64.
        ridge: the ridge relative to the kernel's mean diagonal entry.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import fit
        >>> machine = fit(torch.eye(2), torch.tensor([0, 1]), ridge=1.0)  # α = Y / 2, Y = ±½
        >>> machine.coefficients
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]], dtype=torch.float64)
    """

    coefficients: Tensor
    ridge: float

    def scores(self, rows: Tensor) -> Tensor:
        """f(x) for K(x, x_i), [m, n] → [m, C], float64.

        Raises:
            ValueError: rows that do not have one column for each training example, or are not finite.

        Example:
            >>> import torch
            >>> from npflib.theory.kernel_ridge import fit
            >>> fit(torch.eye(2), torch.tensor([0, 1]), ridge=1.0).scores(torch.tensor([[1.0, 0.0]]))
            tensor([[ 0.2500, -0.2500]], dtype=torch.float64)
        """
        n = len(self.coefficients)
        if rows.ndim != 2 or rows.shape[1] != n:
            raise ValueError(
                f"a row of the kernel holds K(x, x_i) for each of the {n} training examples, [m, {n}]; got "
                f"{tuple(rows.shape)}. Examples to predict are rows, training examples columns."
            )
        found = rows.to(self.coefficients) @ self.coefficients
        if not torch.isfinite(found).all():
            raise ValueError("rows of the kernel hold numbers that are not finite.")
        return found

    def predict(self, rows: Rows, examples: int | None = None, chunk: int = CHUNK) -> Tensor:
        """Class of the largest score, int64 [m]; of equal ones the lowest (:mod:`npflib.answers`).

        Args:
            rows: K(x, x_i) as a whole [m, n], or a function that makes the rows of a slice of the examples, so that
                no more than ``chunk`` rows are held at once.
            examples: m, where ``rows`` is a function.
            chunk: examples at a time.

        Raises:
            ValueError: a function without ``examples``, a chunk that is not positive, or see :meth:`scores`.

        Example:
            >>> import torch
            >>> from npflib.theory.kernel_ridge import fit
            >>> x = torch.tensor([[1.0], [-1.0]])  # the linear kernel of two numbers
            >>> machine = fit(x @ x.T, torch.tensor([0, 1]), ridge=0.1)
            >>> new = torch.tensor([[3.0], [2.0], [-1.0]])
            >>> machine.predict(lambda part: new[part] @ x.T, examples=3, chunk=2)
            tensor([0, 0, 1])
        """
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ValueError(f"chunk must be a positive whole number of examples; got {chunk!r}.")
        if isinstance(rows, Tensor):
            whole, examples = rows, len(rows)

            def rows(part: slice) -> Tensor:
                return whole[part]

        if isinstance(examples, bool) or not isinstance(examples, int) or examples < 0:
            raise ValueError(f"examples = {examples!r}: where rows are made by a function, say how many there are.")
        found = [torch.empty(0, dtype=torch.int64, device=self.coefficients.device)]
        for start in range(0, examples, chunk):
            part = slice(start, min(start + chunk, examples))
            scores = self.scores(rows(part))
            if len(scores) != part.stop - part.start:
                raise ValueError(f"rows must hold {part.stop - part.start} examples of {part}; got {len(scores)}.")
            found.append(answers(scores))
        return torch.cat(found)

    def accuracy(self, rows: Rows, labels: Tensor, chunk: int = CHUNK) -> float:
        """Share of the examples whose class is predicted; ``rows`` as in :meth:`predict`, labels [m].

        Example:
            >>> import torch
            >>> from npflib.theory.kernel_ridge import fit
            >>> machine = fit(torch.eye(2), torch.tensor([0, 1]), ridge=1.0)
            >>> machine.accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.5]]), torch.tensor([0, 1]))
            0.5
        """
        if labels.ndim != 1 or not len(labels) or (isinstance(rows, Tensor) and len(rows) != len(labels)):
            raise ValueError(f"labels must be [m], one for each row, m ≥ 1; got {tuple(labels.shape)}.")
        predicted = self.predict(rows, len(labels), chunk)
        return (predicted == labels.to(predicted.device)).double().mean().item()


@dataclass(frozen=True)
class RidgeChoice:
    """What :func:`choose_ridge` found.

    Attributes:
        ridge: the one to use, relative to the kernel's mean diagonal entry.
        accuracies: relative ridge → accuracy on the training examples held out, ridges rising.
        held_out: how many examples were held out.

    Example:
        >>> from npflib.theory.kernel_ridge import RidgeChoice
        >>> RidgeChoice(1.0, {0.1: 0.8, 1.0: 0.9}, held_out=100).at_edge  # a larger one might be better still
        True
    """

    ridge: float
    accuracies: dict[float, float]
    held_out: int

    @property
    def at_edge(self) -> bool:
        """Whether the choice is the least or the greatest of the ridges tried: then try more."""
        return self.ridge in (min(self.accuracies), max(self.accuracies))


def class_targets(labels: Tensor, classes: int) -> Tensor:
    """Y [n, C]: one-hot less 1/C, float64.

    Args:
        labels: whole numbers from 0 to C - 1, [n].
        classes: C ≥ 2.

    Raises:
        ValueError: labels that are not such numbers, or fewer than two classes.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import class_targets
        >>> class_targets(torch.tensor([3, 0]), classes=4)
        tensor([[-0.2500, -0.2500, -0.2500,  0.7500],
                [ 0.7500, -0.2500, -0.2500, -0.2500]], dtype=torch.float64)
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"classes must be a whole number of at least 2; got {classes!r}.")
    if labels.ndim != 1 or not len(labels) or labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers [n], n ≥ 1; got {labels.dtype} {tuple(labels.shape)}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels of {classes} classes are 0 to {classes - 1}; got {low} to {high}.")
    return torch.nn.functional.one_hot(labels.long(), classes).double() - 1 / classes


def memory_needed(n: int, method: str = "cholesky") -> int:
    """Bytes for a fit on n examples, kernel included: 8 n² each for the kernel, its copy with the ridge on the diagonal
    and the factor; an eigendecomposition also has eigenvectors and work space of twice a kernel.

    Example:
        >>> from npflib.theory.kernel_ridge import memory_needed
        >>> memory_needed(5_000) / 1e9  # gigabytes
        0.6
    """
    _check_method(method)
    return 8 * n * n * (3 if method == "cholesky" else 5)


def ridge_path(
    kernel: Tensor, targets: Tensor, ridges: Sequence[float] = RIDGES, *, method: str = "", memory: int = MEMORY
) -> Tensor:
    """α = (K + ridge · tr K / n · I)⁻¹ Y for several ridges.

    Args:
        kernel: K [n, n], symmetric positive semidefinite.
        targets: Y [n, C].
        ridges: relative ridges ≥ 0. Where K = 0 they have no effect and α = 0.
        method: "cholesky", a factorisation for each ridge; "eigen", one eigendecomposition K = U diag(s) Uᵀ for all,
            α = U (s + λ)⁻¹ UᵀY; "" takes the first for up to 12 ridges, as it is faster then, and the second for more.
        memory: bytes that the fit may take.

    Returns:
        [R, n, C], float64, in the order of the ridges.

    Raises:
        ValueError: K that is not a square symmetric matrix of finite numbers, targets that do not match or are not
            finite, ridges that are not numbers ≥ 0, a kernel singular to working precision at one of them, an
            unknown method, or more memory than allowed.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import ridge_path
        >>> ridge_path(torch.diag(torch.tensor([1.0, 3.0])), torch.ones(2, 1), [0.0, 1.0])[:, :, 0]  # mean diagonal 2
        tensor([[1.0000, 0.3333],
                [0.3333, 0.2000]], dtype=torch.float64)
    """
    ridges = _checked_ridges(ridges)
    method = method or ("cholesky" if len(ridges) <= CHOLESKY_UP_TO else "eigen")
    _check_method(method)
    k = _checked_kernel(kernel, method, memory)
    y = targets.to(k)
    if y.ndim != 2 or len(y) != len(k):
        raise ValueError(f"targets must be [{len(k)}, C], a row for each row of the kernel; got {tuple(y.shape)}.")
    if not torch.isfinite(y).all():
        raise ValueError("targets hold numbers that are not finite.")
    if not k.any():
        return k.new_zeros(len(ridges), *y.shape)
    size = float(k.diagonal().mean())
    solve = (_by_cholesky if method == "cholesky" else _by_eigenvectors)(k, y, kernel.dtype)
    return torch.stack([solve(ridge, ridge * size) for ridge in ridges])


def fit(
    kernel: Tensor, labels: Tensor, ridge: float, *, classes: int | None = None, memory: int = MEMORY
) -> KernelClassifier:
    """The machine with one ridge, by one Cholesky factorisation.

    Args:
        kernel: K [n, n] of the training examples, symmetric positive semidefinite.
        labels: their classes, whole numbers from 0, [n].
        ridge: relative to the kernel's mean diagonal entry; without effect on the zero kernel, whose scores are 0.
        classes: C; None takes the largest label plus one.
        memory: bytes that the fit may take (see :func:`memory_needed`).

    Raises:
        ValueError: see :func:`ridge_path` and :func:`class_targets`.

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
    kernel: Tensor,
    labels: Tensor,
    ridges: Sequence[float] = RIDGES,
    *,
    classes: int | None = None,
    share: float = 0.2,
    seed: int = 0,
    method: str = "",
    memory: int = MEMORY,
) -> RidgeChoice:
    """The ridge with the highest accuracy on training examples that are held out from the fit.

    Of ridges that are equally accurate the largest is taken, which gives the smoothest function. Fit again on all
    examples with the ridge found: it is relative, so it keeps its meaning.

    Args:
        kernel: K [n, n] of the *training* examples: a test set has no part in the choice.
        labels: [n].
        ridges: relative ridges to try.
        classes: C; None takes the largest label plus one.
        share: share of the examples that is held out, chosen at random by ``seed``.
        seed: a whole number ≥ 0.
        method: see :func:`ridge_path`.
        memory: bytes that the fit may take.

    Raises:
        ValueError: a share that leaves nothing to fit or to hold out, or see :func:`ridge_path`.

    Example:
        >>> import torch
        >>> from npflib.theory.kernel_ridge import choose_ridge
        >>> x = torch.linspace(-1, 1, 40)[:, None]
        >>> labels = (x[:, 0] > 0).long()
        >>> choose_ridge(x @ x.T, labels, [0.1, 1.0]).ridge  # both are right: the larger
        1.0
    """
    targets = _targets_for(kernel, labels, classes)
    ridges = sorted(set(_checked_ridges(ridges)))
    n = len(labels)
    held = round(share * n) if isinstance(share, int | float) else 0
    if not 0 < held < n:
        raise ValueError(f"share = {share!r} of {n} examples holds out {held}; it must leave some on both sides.")
    order = torch.randperm(n, generator=generator(seed, "examples")).to(kernel.device)
    out, rest = order[:held], order[held:]
    path = ridge_path(kernel[rest][:, rest], targets[rest], ridges, method=method, memory=memory)
    scores = torch.einsum("mn,rnc->rmc", kernel[out][:, rest].to(path), path)
    right = (answers(scores) == labels[out].to(scores.device)).double().mean(1)
    accuracies = dict(zip(ridges, right.tolist(), strict=True))
    best = max(ridges, key=lambda ridge: (accuracies[ridge], ridge))
    return RidgeChoice(best, accuracies, held)


def _by_cholesky(k: Tensor, y: Tensor, dtype: torch.dtype) -> Callable[[float, float], Tensor]:
    def solve(ridge: float, added: float) -> Tensor:
        shifted = k.clone()
        shifted.diagonal().add_(added)
        factor, info = torch.linalg.cholesky_ex(shifted)
        pivots = factor.diagonal().square()
        if info.item() or not well_above_rounding(pivots, dtype):
            raise _singular(len(k), ridge)
        return torch.cholesky_solve(y, factor)

    return solve


def _by_eigenvectors(k: Tensor, y: Tensor, dtype: torch.dtype) -> Callable[[float, float], Tensor]:
    values, vectors = torch.linalg.eigh(k)
    rotated = vectors.T @ y

    def solve(ridge: float, added: float) -> Tensor:
        shifted = values + added
        if not well_above_rounding(shifted, dtype):
            raise _singular(len(k), ridge)
        return vectors @ (rotated / shifted[:, None])

    return solve


def _singular(n: int, ridge: float) -> ValueError:
    return ValueError(
        f"the kernel of {n} examples is singular to working precision (or not positive semidefinite) at the relative "
        f"ridge {ridge:g}. Use a larger ridge, or compute the kernel in float64."
    )


def _targets_for(kernel: Tensor, labels: Tensor, classes: int | None) -> Tensor:
    if classes is None:
        whole = labels.numel() > 0 and not labels.dtype.is_floating_point
        classes = max(2, int(labels.max()) + 1) if whole else 2
    targets = class_targets(labels, classes)
    if kernel.ndim != 2 or len(kernel) != len(labels):
        raise ValueError(f"labels must be one for each row of the kernel {tuple(kernel.shape)}; got {len(labels)}.")
    return targets.to(kernel.device)


def _checked_ridges(ridges: Sequence[float]) -> list[float]:
    found = [float(ridge) for ridge in ridges]
    if not found or not all(0 <= ridge < float("inf") for ridge in found):
        raise ValueError(f"ridges must be one or more finite numbers ≥ 0; got {list(ridges)!r}.")
    return found


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; allowed: {', '.join(METHODS)}.")


def _checked_kernel(kernel: Tensor, method: str, memory: int) -> Tensor:
    """K in float64 on its device, after every check that needs no factorisation."""
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise ValueError(f"kernel must be a square matrix [n, n] of n ≥ 1 examples; got {tuple(kernel.shape)}.")
    needed = memory_needed(len(kernel), method)
    if needed > memory:
        most = int((memory / memory_needed(1, method)) ** 0.5)
        raise ValueError(
            f"a fit on {len(kernel):,} examples needs {needed / 2**30:.3g} GiB; allowed are {memory / 2**30:.3g} GiB, "
            f"enough for {most:,}. Take fewer examples, or allow more by `memory`."
        )
    k = kernel.detach().double()
    if not torch.isfinite(k).all():
        raise ValueError("kernel holds numbers that are not finite.")
    # A kernel summed in float32 is symmetric only up to that type's rounding.
    tolerance = (1e-10 if kernel.dtype == torch.float64 else 1e-4) * float(k.abs().max())
    for start in range(0, len(k), CHUNK):
        part = slice(start, start + CHUNK)
        if (k[part] - k[:, part].T).abs().max() > tolerance:
            raise ValueError("kernel must be symmetric: it is not, beyond rounding. Was it computed between two sets?")
    return k
