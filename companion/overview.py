"""What the companion found, for the first page: numbers of records and the ledger, each written into a sentence."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from companion import ledger, statistics
from companion.ledger import Claim
from npflib import experiments
from npflib.records.run_records import Record

# Claims of the chapters beyond the paper that the first page states: id, unit, and the sentence around the number.
BEYOND = (
    (
        "companion-reading-value-network-random", " points",
        "Behind the same random gates [kernel ridge regression](10_reading_the_gates.ipynb) is {} above a trained "
        "value network: part of what random gates cost is not missing from them. On the way from one to the other, "
        "taken [step by step](04_fixed_gates.ipynb), the network's own kernel, at this width far from its mean, loses "
        "more than the whole difference; Glorot's start with Adam wins part of it back.",
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


def finding(rows: Mapping[str, Mapping[str, Sequence[Record]]]) -> str:
    """The paper's experiment and its outcome in one sentence: the share recovered, from the least row to the most."""
    found = [statistics.recovered_by_records(regimes) for regimes in rows.values()]
    shares = [100 * one.value for one in found]
    return (
        "**Freeze a trained network's gates, throw its weights away, train new ones: of the accuracy that random gates "
        f"cost, {min(shares):.0f} to {max(shares):.0f} % comes back on MNIST.** *Gates* say which units of a ReLU "
        "network are on for an input."
    )


def explorer(folder: Path) -> str:
    """The picture that stands on the explorer's page without scripts, as a link there; "" before it is executed."""
    page = folder / "notebooks" / "gate_explorer.ipynb"
    drawn = re.search(r'(<img[^>]*src=\\?"data:image/svg[^>]*>)', page.read_text()) if page.exists() else None
    picture = json.loads(f'"{drawn[1]}"') if drawn else ""
    told = "<span>The gate explorer: train a network, keep its gates, train new weights.</span>"
    return picture and f'<a class="npf-picture" href="gate_explorer.html">{picture}{told}</a>'


def theory(found: Sequence[Claim]) -> str:
    """How the checks of identities, the paper's and ours, came out; "" for none."""
    checks = [claim for claim in found if claim.kind == "identity"]
    right = "not all right" if any(claim.verdict == "refuted" for claim in checks) else "right"
    return f"**The algebra is {right}.** Of {'; '.join(ledger.counted(checks))}." if checks else ""


def gates(rows: Mapping[str, Mapping[str, Sequence[Record]]]) -> str:
    """What share of the gap between random gates and ReLU learnt gates recover, for our rows and all of the paper's."""
    ours, others = [], []
    for row in experiments.TABLE:
        theirs = statistics.per_cent(statistics.recovered_by_paper(row.name))
        if row.name not in rows:
            others.append(f"{row.title} {theirs}")
            continue
        relu = rows[row.name]["ReLU"]
        found, budget = statistics.recovered_by_records(rows[row.name]), statistics.budget_text(relu)
        said = f"{row.title}: {statistics.per_cent(found)} ({budget}, n = {len(relu)})"
        ours.append(f"{said}, by the paper's table {theirs}")
    return (
        "**The gates hold much of what was learnt.** New weights behind a trained network's frozen gates recover of "
        f"what random gates cost, in per cent with 90 % intervals: {'; '.join(ours)}. "
        f"By that table (its Table 2) alone: {'; '.join(others)}."
    )


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
    known, sentences = {claim.id: claim for claim in found}, list[str]()
    for claim, unit, text in ((known[id], unit, text) for id, unit, text in BEYOND if id in known):
        scale, form = (100, ".1f") if unit == " %" else (1, "+.2f")
        value, low, high = (scale * number for number in (claim.measured, *claim.interval))
        stated = statistics.Estimate(value, low, high, level=0, runs=claim.seeds)
        sentences.append(text.format(f"{stated:{form}}{unit}"))
        sentences += ["That was seen after the run."] if claim.kind == "seen after" else []
    return "**Beyond the paper.** " + " ".join(sentences) if sentences else ""


def table(cells: Sequence[statistics.Cell]) -> str:
    """How many cells of the paper's table agree, differ, are undecided, or were not run."""
    count = Counter(cell.verdict for cell in cells)
    told = ", ".join(f"{count[word]} {word}" for word in statistics.VERDICTS if count[word])
    return f"**The table so far.** Of {len(cells)} cells, beside the paper's numbers: {told}."


def claims(found: Sequence[Claim]) -> str:
    """What their table by kind does not say of the claims: what chance does, and how they agree with standings."""
    broken, unknown = len(ledger.contradictions(found)), sum(claim.standing == "open" for claim in found)
    return (
        f"{ledger.chance(found)} Of {len(found)} claims {broken or 'none'} contradict{'s' if broken < 2 else ''} what "
        f"published evidence supports; {unknown} {'is' if unknown == 1 else 'are'} open, for want of it."
    ).strip()
