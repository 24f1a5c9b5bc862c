"""The scales of all budgets: smoke, quick and the paper's own. A leaf of the imports, but for the checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from npflib import checks

__all__ = ["PROFILES", "Profile", "find"]


@dataclass(frozen=True)
class Limit:
    """What a profile allows one experiment, or every experiment on one data set; None is the profile's own rule."""

    train_examples: int | None = None
    test_examples: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name in ("train_examples", "test_examples", "epochs"):
            if getattr(self, name) is not None:
                checks.whole(getattr(self, name), f"a limit's {name}")


@dataclass(frozen=True)
class Profile:
    """A scale of all budgets: its ``meaning`` says what may be concluded from it.

    A training experiment has a run a seed, on ``train_examples`` and ``test_examples`` at most, None being all, and
    ``epochs`` at most, by data set; ``limits`` allow something else, by data set or by experiment, whose own comes
    first. ``widths`` are for chapters that vary the width, ``draws`` for those that average over weights.

    Example:
        >>> from npflib.profiles import find
        >>> find("paper").seeds, find("paper").is_full
        ((0, 1, 2, 3, 4), True)
    """

    name: str
    meaning: str
    seeds: tuple[int, ...]
    train_examples: int | None
    test_examples: int | None
    epochs: Mapping[str, int]
    widths: tuple[int, ...]
    draws: int
    limits: Mapping[str, Limit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cap in (None, *self.epochs.values()):
            Limit(self.train_examples, self.test_examples, cap)
        for name, values in {"seeds": self.seeds, "widths": self.widths, "draws": (self.draws,)}.items():
            for value in values:
                checks.whole(value, f"of a profile's {name} each", least=0 if name == "seeds" else 1)
        object.__setattr__(self, "epochs", MappingProxyType(dict(self.epochs)))
        object.__setattr__(self, "limits", MappingProxyType(dict(self.limits)))

    @property
    def is_full(self) -> bool:
        """Whether runs of this profile spend the paper's whole budget."""
        return self.train_examples is None and self.test_examples is None and not self.epochs and not self.limits

    def limit(self, experiment: str, dataset: str, what: str) -> Any:
        """The limit ``what`` on an experiment: its own, else its data set's, else the profile's."""
        for name in (experiment, dataset):
            found = getattr(self.limits.get(name), what, None)
            if found is not None:
                return found
        return self.epochs.get(dataset) if what == "epochs" else getattr(self, what)


_SMOKE = Profile(
    "smoke", "everything runs; nothing is concluded about training", seeds=(0, 1), train_examples=2_000,
    test_examples=1_000, epochs={"mnist": 2}, widths=(8, 16, 32), draws=200, limits={"cifar10": Limit(512, 256, 2)},
)  # fmt: skip
_QUICK = Profile(
    "quick", "the first epochs of the published runs on MNIST, trained anew and compared: no conclusions of their own",
    seeds=(0,), train_examples=None, test_examples=None, epochs={"mnist": 2}, widths=(8, 16, 32, 64, 128, 256),
    draws=2_000, limits={
        "cifar10": Limit(1_000, 500, epochs=4),
        # To the second measurement of ν after the start, and the first of the traces.
        "mnist-alignment": Limit(epochs=4), "mnist-alignment-shuffled": Limit(epochs=4),
        "mnist-kernel-traces": Limit(epochs=5),
    },
)  # fmt: skip
_PAPER = Profile(
    "paper", "the paper's full budget", seeds=(0, 1, 2, 3, 4), train_examples=None, test_examples=None, epochs={},
    widths=(8, 16, 32, 64, 128, 256, 512, 1024), draws=10_000,
)  # fmt: skip

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in (_SMOKE, _QUICK, _PAPER)})


def find(name: str) -> Profile:
    """The profile of that name; a ValueError lists those there are.

    Example:
        >>> from npflib.profiles import find
        >>> find("smoke").meaning
        'everything runs; nothing is concluded about training'
    """
    checks.one_of(name, "profile", PROFILES)
    return PROFILES[name]
