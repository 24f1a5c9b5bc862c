"""What the companion found, one short paragraph a finding, computed from run records and the ledger.

For the book's first page: each function reads numbers and writes them into a sentence of Markdown, so that the page
cannot say what no run has said.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from companion import ledger, statistics
from companion.ledger import Claim
from companion.statistics import Cell, Estimate
from npflib import experiments
from npflib.records.run_records import Record

# The claims of the paper that are identities or theorems: nothing has to be trained for them.
THEORY = ("claim-1-", "claim-2-", "claim-3-", "claim-4-")

# Claims of the chapters beyond the paper that the first page states: id, unit, and the sentence around the number.
BEYOND = (
    (
        "companion-reading-narrow-values", " points",
        "The step from random to learnt gates is larger by {} for a value network of width 128 than for "
        "[kernel ridge regression](10_reading_the_gates.ipynb) with the same gates.",
    ),
    (
        "companion-wide-share", " %",
        "At [infinite width](11_infinite_width.ipynb) random gates give {} of the gain that ReLU's own tangent kernel "
        "has over the linear kernel.",
    ),
    (
        "companion-layers-last-layer", " points",
        "A network that is linear but for [learnt gates in its last hidden layer](12_which_gates_matter.ipynb) differs "
        "by {} from one with learnt gates in all five.",
    ),
)  # fmt: skip


def theory(found: Sequence[Claim]) -> str:
    """How the checks of the paper's identities and theorem (claims 1 to 4) came out, and our own apart; "" for none."""
    checks = [claim for claim in found if claim.id.startswith(THEORY)]
    own = [claim for claim in checks if claim.origin == "paper"]
    if not own:
        return ""
    right = "not all right" if any(claim.verdict == "refuted" for claim in own) else "right"
    text = f"**The algebra is {right}.** Of the paper's identities and its theorem {_outcome(own)}"
    others = [claim for claim in checks if claim.origin != "paper"]
    return f"{text}; of our own additions {_outcome(others)}." if others else f"{text}."


def _outcome(found: Sequence[Claim]) -> str:
    """E.g. "12 of 13 checks hold, 1 is refuted"."""
    count = Counter(claim.verdict for claim in found)
    rest = [f"{_are(count[word])} {word}" for word in ("undecided", "refuted") if count[word]]
    return ", ".join([f"{count['holds']} of {len(found)} checks hold", *rest]).replace(
        "decided", "decided at this budget"
    )


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def gates(experiment: str, regimes: Mapping[str, Sequence[Record]]) -> str:
    """What learnt gates are worth: FLNPF between random gates (FRNPF-II) and ReLU, in mean peak accuracy."""
    needed = ("FRNPF-II", "FLNPF", "ReLU")
    missing = [name for name in needed if not regimes.get(name)]
    if missing:
        raise ValueError(f"records of {', '.join(needed)} are needed; there are none of {', '.join(missing)}.")
    random, learnt, own = (statistics.summarise(statistics.accuracies(regimes[name])).mean for name in needed)
    text = (
        f"**The gates hold what was learnt.** {experiments.find(experiment).title}: new weights behind a trained "
        f"network's gates reach {learnt:.2f} %, behind random gates {random:.2f} %, the network itself {own:.2f} %"
    )
    # Otherwise there is no loss of which a share could come back, as at very small budgets.
    if random < learnt and random < own:
        text += f": learnt gates recover {100 * (learnt - random) / (own - random):.0f} % of the gap"
    return text + f" ({statistics.budget_text(regimes['ReLU'])}, n = {len(regimes['ReLU'])})."


def alignment(records: Sequence[Record]) -> str:
    """By what factor ν changed in training: the geometric mean over runs of its last value over its first."""
    nu = np.array([[record.series["nu"][0], record.series["nu"][-1]] for record in records])
    factor = float(np.exp(np.log(nu[:, 1] / nu[:, 0]).mean()))
    direction, moves = ("turns towards", "falls") if factor < 1 else ("does not turn towards", "rises")
    return (
        f"**The kernel {direction} the labels.** ν of the neural path kernel, small where the labels agree with the "
        f"kernel, {moves} to {factor:.2f}× its initial value ({statistics.budget_text(records)}, n = {len(records)})."
    )


def beyond(found: Sequence[Claim]) -> str:
    """What the paper does not say: one sentence a claim of chapters 10 to 12 that this build has measured."""
    claim = {one.id: one for one in found}
    sentences = [text.format(_with_interval(claim[id], unit)) for id, unit, text in BEYOND if id in claim]
    return "**Beyond the paper.** " + " ".join(sentences) if sentences else ""


def _with_interval(claim: Claim, unit: str) -> str:
    """E.g. "+0.26 [−0.25, +0.77] points": measured, and the claim's interval."""
    scale, form = (100, ".1f") if unit == " %" else (1, "+.2f")
    value, low, high = (scale * number for number in (claim.measured, *claim.interval))
    found = Estimate(value, low, high, level=0, runs=claim.seeds)
    return f"{found:{form}}{unit}"


def table(cells: Sequence[Cell]) -> str:
    """How many cells of the paper's table agree, differ, are undecided, or were not run."""
    count = Counter(cell.verdict for cell in cells)
    agreeing = f"{_are(count['equivalent'])} equivalent to the paper's number"
    parts = [agreeing, *(f"{count[word]} {word}" for word in ("different", "undecided") if count[word])]
    missing = [experiments.find(cell.experiment).dataset for cell in cells if cell.verdict == "not run"]
    if missing:
        where = " and ".join({"mnist": "MNIST", "cifar10": "CIFAR-10"}.get(name, name) for name in sorted(set(missing)))
        parts.append(f"{len(missing)}, all of {where}, not run")
    return f"**The table so far.** Of {len(cells)} cells {', '.join(parts)}."


def claims(found: Sequence[Claim], profile: str) -> str:
    """The state of the ledger in one sentence, standing verdicts included."""
    if not found:
        return "No claims have been collected in this build yet; `make book` does it."
    count = Counter(claim.verdict for claim in found)
    broken = len(ledger.contradictions(found))
    return (
        f"**The ledger.** Of {len(found)} claims measured in this build (profile `{profile}`) {count['holds']} hold, "
        f"{_are(count['refuted'])} refuted and {count['undecided']} undecided at "
        f"this budget; {broken or 'none'} contradict{'s' if broken < 2 else ''} what the best evidence supports."
    )
