"""Independent streams of random numbers, one for each purpose of each seed.

A stream depends on its own names alone, never on what was drawn before: so a seed gives the same run whichever other
seeds are trained beside it, and a resumed run needs no saved generator.
"""

import numpy as np
import torch

from npflib import checks

PURPOSES = ("relu", "value", "feature", "order", "examples", "monte carlo", "labels")


def generator(seed: int, purpose: str, *more: int) -> torch.Generator:
    """A fresh generator for (seed, purpose, …); seeds from 2^32 on and unknown purposes are a ValueError.

    Example:
        >>> import torch
        >>> from npflib.randomness import generator
        >>> one, two = (torch.randperm(100, generator=generator(3, "order", 7)) for _ in range(2))
        >>> torch.equal(one, two)  # the same names, the same stream
        True
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number of at least 0 and below 2^32; got {seed!r}.")
    checks.one_of(purpose, "purpose", PURPOSES, "randomness")
    for number in more:
        checks.whole(number, f"what follows {purpose!r}", least=0)
    key = np.random.SeedSequence((seed, PURPOSES.index(purpose), *more)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(key >> np.uint64(1)))
