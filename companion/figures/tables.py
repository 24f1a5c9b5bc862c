"""Tables of the book as plain HTML: no script, no style sheet needed, wide ones scroll inside the page.

A verdict is a symbol, a word and a colour, so that none of the three carries the meaning alone. Tables made from
stand-in data carry the banner that figures do.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import floor, log10
from pathlib import Path
from typing import Any

from companion import statistics
from companion.figures.style import LABELS
from companion.ledger import VERDICTS as CLAIMED
from companion.ledger import Claim
from npflib import checks, experiments
from npflib.records.run_records import Record

# Word → symbol and ground; white text on each has a contrast of at least 4.5 : 1.
_RIGHT, _WRONG = ("✓", "#0a6b3d"), ("✗", "#a3261b")
_VERDICTS = {"holds": _RIGHT, "equivalent": _RIGHT, "refuted": _WRONG, "different": _WRONG}
_VERDICTS |= {"undecided": ("?", "#6b5900"), "not run": ("–", "#5a6068")}
_SPREAD = re.compile(r"[\d.]+ ± [\d.]+|\[[\d., +−-]+\]")
_RELATIONS = {"equal": "=", "at most": "≤", "at least": "≥"}


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "", data: Mapping[str, Any] | None = None,
    keys: Sequence[Mapping[str, str]] = (),
) -> str:  # fmt: skip
    """A table in a box that scrolls sideways; text is escaped, ``Html`` is not, and stand-in ``data`` get a banner.

    With ``keys``, one a row, the page's script lets a reader filter and sort its rows by them.
    """
    body = []
    for at, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} entries, the header {len(header)}: {row!r}.")
        found = "".join(f' data-{name}="{escape(word)}"' for name, word in keys[at].items()) if keys else ""
        body.append(f"<tr{found}>" + "".join(f"<td>{_text(entry)}</td>" for entry in row) + "</tr>")
    head = "".join(f'<th scope="col">{_text(entry)}</th>' for entry in header)
    title = f'<caption style="caption-side:top;text-align:left">{_text(caption)}</caption>' if caption else ""
    kind, banner = ' class="npf-sortable"' if keys else "", ""
    if data and data["stand_in"]:
        told = f"{escape(data['title'])}. Not a test of the paper."
        banner = f'<p class="npf-stand-in"><strong>{told}</strong></p>'
    return Html(
        f'{banner}<div class="table-scroll" style="overflow-x:auto">'
        f"<table{kind}>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def verdict(word: str, said: str = "") -> str:
    """A verdict as symbol, word and colour; something else may be said in the word's place."""
    checks.one_of(word, "verdict", _VERDICTS)
    symbol, ground = _VERDICTS[word]
    style = f"background:{ground};color:#fff;padding:0.1em 0.5em;border-radius:0.4em;white-space:nowrap"
    return Html(f'<span style="{style}">{symbol} {said or word}</span>')


def regimes(runs: Mapping[str, Sequence[Record]], experiment: str, caption: str) -> str:
    """Peak and final accuracy of each regime beside the paper's peak: one row a regime."""
    rows = []
    for regime, paper in experiments.find(experiment).reported.items():
        records = runs.get(regime, [])
        ours = [str(statistics.summarise(statistics.accuracies(records, m))) for m in statistics.MEASURES if records]
        gap = f"{statistics.optimism(records).value:.2f}" if len(records) > 1 else "–"
        rows.append([_whole(LABELS[regime]), reported(paper), *(ours or ["not run", "–"]), gap])
    header = ("regime", "paper's peak", "our peak", "our final", "peak − final")
    return table(header, rows, caption=caption, data=_worst_source(r for found in runs.values() for r in found))


def entry(main: str, *lesser: str, least: float = 0) -> str:
    """An entry of a table with lines of lesser text below it; it is at least so many letters wide."""
    width = f' style="min-width:{least:g}em"' if least else ""
    return Html(f"<div{width}>{_text(main)}{''.join(map(small, lesser))}</div>")


def rows_side_by_side(cells: Sequence[statistics.Cell], caption: str) -> str:
    """Paper and ours for several experiments at once: one row a regime, two columns an experiment."""
    rows = {cell.regime: [_whole(LABELS[cell.regime])] for cell in cells}
    for cell in cells:
        rows[cell.regime] += [reported(cell.paper), str(cell.ours or "not run yet")]
    titles = dict.fromkeys(experiments.find(cell.experiment).title.rsplit(", ", 1)[-1] for cell in cells)
    header = ["regime", *(f"{title}: {whose}" for title in titles for whose in ("paper", "ours"))]
    return table(header, rows.values(), caption=caption, data=_worst_source(r for cell in cells for r in cell.records))


def scoreboard(cells: Sequence[statistics.Cell], caption: str = "") -> str:
    """The cells of one experiment: paper, ours with spread, difference with its interval, verdict and reason."""
    rows = []
    for cell in cells:
        ours, gap = "not run yet", "–"
        if cell.ours:
            basis = f"n = {cell.ours.runs}; {statistics.budget_text(cell.records)}; {cell.records[0].data['title']}"
            ours = entry(str(cell.ours), basis, least=9)
            gap = f"{cell.ours.mean - cell.paper.mean:+.2f} (no interval)".replace("-", "−")
        if cell.difference is not None:
            value, interval = str(cell.difference).split(" ", 1)
            gap = entry(value, _whole(interval))
        judged = entry(verdict(cell.verdict), cell.reason)
        rows.append([_whole(LABELS[cell.regime]), _whole(reported(cell.paper)), ours, gap, judged])
    header = ("regime", "paper", "ours", "difference [95 %]", "verdict")
    return table(header, rows, caption=caption, data=_worst_source(r for cell in cells for r in cell.records))


def ledger(found: Sequence[Claim], caption: str = "") -> str:
    """Claims in the order of the book, a row each, the evidence folded: to be filtered and sorted."""
    rows, keys = [], []
    for claim in sorted(found, key=lambda claim: claim.chapter):
        page = escape(Path(claim.chapter).stem)
        figure = f"#{claim.figure}" if re.fullmatch(r"[\w-]+", claim.figure) else ""
        link = f'<a href="{page}.html{figure}">{escape(_place(claim))}{", figure" if figure else ""}</a>'
        tolerance = f"tolerance {number(claim.tolerance)}: " if claim.tolerance else ""
        told = (
            mathematics(f"{claim.quantity}; profile {claim.profile}, n = {claim.seeds:,}; data: {claim.data}"),
            Html(tolerance + mathematics(claim.tolerance_reason)),
            f"source: {claim.source}; stands as: {claim.standing}",
            claim.reason,
        )
        more = f'<details class="hide"><summary>{escape(claim.id)}</summary>{"".join(map(small, told))}</details>'
        said = entry(mathematics(claim.sentence), Html(f"{link} {more}"), least=15)
        rows.append([entry(verdict(claim.verdict), claim.kind), said, measured(claim), accepted(claim)])
        keys.append({"verdict": claim.verdict, "kind": claim.kind, "chapter": _place(claim)})
    return table(("verdict, kind", "claim", _with_level(found), "accepted"), rows, caption=caption, keys=keys)


def summary(found: Sequence[Claim], cells: Sequence[statistics.Cell]) -> str:
    """The paper's table as a coloured grid, and the ledger counted by kind and by chapter."""
    grid: dict[str, list[Any]] = {}
    for cell in cells:
        title, said = experiments.find(cell.experiment).title, f"{cell.ours.mean:.2f}" if cell.ours else ""
        grid.setdefault(title, [_whole(title)]).append(verdict(cell.verdict, said))
    header = ("test accuracy in %", *dict.fromkeys(LABELS[cell.regime] for cell in cells))
    marks = ", ".join(f"{_VERDICTS[word][0]} {word}" for word in statistics.VERDICTS)
    parts = [table(header, grid.values(), caption=f"The paper's table ({marks})")]
    for name, key in (("kind", lambda claim: claim.kind), ("chapter", _place)):
        count = Counter((key(claim), claim.verdict) for claim in found)
        places = dict.fromkeys(key(claim) for claim in sorted(found, key=lambda claim: claim.chapter))
        rows = [[place, *(count[place, word] or "" for word in CLAIMED)] for place in places]
        parts.append(table((name, *CLAIMED), rows, caption=f"Claims by {name}"))
    return Html(f'<div class="npf-summary">{"".join(parts)}</div>')


def _place(claim: Claim) -> str:
    """Where a claim is measured: "chapter 5", or a page's name."""
    stem = Path(claim.chapter).stem
    return f"chapter {int(stem[:2])}" if stem[:2].isdigit() else stem.replace("_", " ")


def mathematics(text: str) -> str:
    """Text with its powers and indices set as such: σ^(2(d-1)), 2^-24, K_value."""
    inner = r"(?:[^()]|\([^()]*\))*"
    power = re.sub(rf"\^(?:\(({inner})\)|(-?\({inner}\)|-?\w+))", r"<sup>\1\2</sup>", _text(text))
    return Html(re.sub(r"(?<=\b[A-Za-zν])_(\w+)", r"<sub>\1</sub>", power))


def verdicts(found: Sequence[Claim], caption: str = "") -> str:
    """A chapter's own claims with what was measured and what is accepted: one row a claim."""
    rows = [
        [
            entry(verdict(claim.verdict), claim.reason),
            entry(mathematics(claim.sentence), f"profile {claim.profile}, n = {claim.seeds:,}; {claim.data}", least=13),
            entry(measured(claim), mathematics(claim.quantity), least=9),
            Html(f'<span style="white-space:nowrap">{accepted(claim)}</span>'),
        ]
        for claim in found
    ]
    return table(("verdict", "claim", _with_level(found), "acceptance region"), rows, caption=caption)


def _with_level(found: Sequence[Claim]) -> str:
    """The heading of a column of measured values; ValueError where their intervals are not of one level."""
    levels = {claim.level for claim in found if claim.level is not None}
    if len(levels) > 1:
        raise ValueError(f"intervals of one column must be of one level; these are of {sorted(levels)}.")
    return f"measured [{100 * levels.pop():.0f} % interval]" if levels else "measured"


def measured(claim: Claim) -> str:
    """What a claim measured, with its interval if it has one, to three significant digits of the interval's length."""
    low, high = claim.interval
    if low == high:
        return number(claim.measured)
    decimals = max(0, 2 - floor(log10(high - low)))
    if decimals > 5:  # powers of ten are easier to read, and beside a larger value the ends look alike
        ends = f"± {number((high - low) / 2)}" if number(low) == number(high) else f"[{number(low)}, {number(high)}]"
        return Html(f"{number(claim.measured)} {ends}")
    return Html(f"{claim.measured:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]".replace("-", "−"))


def accepted(claim: Claim) -> str:
    """What a claim accepts: an expected value with its tolerance, or a bound with the tolerance in it."""
    if claim.relation == "equal":
        return Html(number(claim.expected) + (f" ± {number(claim.tolerance)}" if claim.tolerance else ""))
    added = claim.tolerance if claim.relation == "at most" else -claim.tolerance
    return Html(f"{_RELATIONS[claim.relation]} {number(claim.expected + added)}")


def machines(records: Sequence[Record]) -> str:
    """Where the records come from: one row for each different machine, set of versions and code."""
    groups = defaultdict[tuple[str, ...], list[float]](list)
    for record in records:
        machine = (str(record.environment.get(name, "unknown")) for name in ("device", "threads", "torch", "python"))
        library = ", ".join(str(record.library.get(name, "unknown")) for name in ("version", "source"))
        groups[*machine, library, record.profile].append(record.seconds)
    rows = []
    for (device, threads, torch, python, *rest), seconds in sorted(groups.items()):
        where = entry(f"{device}, {threads} thread{'s' * (threads != '1')}", least=9)
        minutes = f"{sum(seconds) / 60:.0f} min"
        rows.append([where, f"{torch}, {python}", *rest, str(len(seconds)), minutes])
    header = ("machine", "torch, python", "npflib, source hash", "profile", "runs", "run time")
    return table(header, rows, caption="The machines and versions behind the run records used on this page.")


def number(value: float) -> str:
    """Four significant digits, as a power of ten where plain digits would hide the size."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 9999.5:  # from there on four digits no longer suffice
        return Html(harmless(f"{value:.2e}").replace("-", "−"))
    return f"{value:.4g}".replace("-", "−")


def small(text: str) -> str:
    """A line of lesser text below an entry; nothing for an empty text."""
    return Html(f'<div class="npf-small">{_text(text)}</div>' if text else "")


def harmless(markdown: str) -> str:
    """Markdown in which no text from a file can be HTML, but for powers; with powers of ten and a true minus."""
    powers = re.compile(r"`[^`]*`|\$[^$]*\$|(?<![\w.])(\d(?:\.\d+)?)e([+-]\d+)\b")  # neither in code nor in formulas
    markdown = powers.sub(lambda m: f"{m[1]}·10<sup>{int(m[2])}</sup>".replace("-", "−") if m[1] else m[0], markdown)
    return re.sub(r"(?<=[\s(\[*|])-(?=\d)", "−", re.sub(r"<(?!/?sup>)(?=[A-Za-z/!?])", "&lt;", markdown))


def reported(paper: experiments.Reported) -> str:
    """A number as the paper prints it."""
    return str(statistics.Summary(paper.mean, paper.std, paper.runs))


def _whole(text: str) -> str:
    return Html(f'<span style="white-space:nowrap">{escape(text)}</span>')


def _worst_source(records: Iterable[Record]) -> Mapping[str, Any] | None:
    """The stand-in data among the records' sources if there are any: one row of them is enough for a banner."""
    return max((record.data for record in records), key=lambda data: data["stand_in"], default=None)


def _text(entry: Any) -> str:
    """The entry as HTML; a number stays on one line with its spread, and an interval."""
    return entry if isinstance(entry, Html) else _SPREAD.sub(lambda m: _whole(m[0]), escape(str(entry)))
