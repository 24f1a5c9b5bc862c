"""Tables as HTML: what they show is what the records say, everything foreign is escaped, stand-ins are announced."""

from dataclasses import fields, replace

import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from test_statistics import make_record, quick

from companion import ledger, statistics
from companion.figures import tables
from companion.figures.style import LABELS
from npflib import experiments


def parse(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def entries(html: str) -> list[list[str]]:
    """The text of a table's body, row by row."""
    return [[cell.get_text(" ", strip=True) for cell in row.find_all("td")] for row in parse(html).select("tbody tr")]


def test_text_is_escaped_and_html_is_not():
    html = tables.table(["<a>"], [["1 < 2 & 3"], [tables.Html("<b>yes</b>")]], caption="a < b")
    assert entries(html) == [["1 < 2 & 3"], ["yes"]]
    page = parse(html)
    assert page.find("th").text == "<a>"
    assert page.find("caption").text == "a < b"
    assert page.find("b").text == "yes"
    assert "overflow-x" in page.select_one(".table-scroll")["style"]


def test_rows_must_fit_the_header():
    with pytest.raises(ValueError, match="1 entries, the header 2"):
        tables.table(["a", "b"], [["only one"]])


def test_a_table_from_stand_in_data_says_so():
    title = "stand-in: 5,000-image MNIST sample"
    assert title in tables.table(["a"], [], data={"stand_in": True, "title": title})
    assert "Not a test of the paper" not in tables.table(["a"], [], data={"stand_in": False, "title": "MNIST"})
    runs = {"ReLU": [make_record(0)], "FLNPF": [make_record(0, regime="FLNPF", stand_in=True)]}
    assert "Not a test of the paper" in tables.regimes(runs, "mnist-fc-adam", "")


@pytest.mark.parametrize("word", [*ledger.VERDICTS, *statistics.VERDICTS])
def test_every_verdict_has_a_symbol_a_word_and_a_colour(word):
    span = parse(tables.verdict(word)).find("span")
    assert span.text.endswith(word)
    assert span.text[0] in "✓✗?–"
    ground = span["style"].split("background:")[1][:7]
    light = [int(ground[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in light]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG's contrast for white text


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="'perhaps'; allowed: holds"):
        tables.verdict("perhaps")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.5, "−0.5"),
        (1234.56, "1235"),
        (9999.4, "9999"),
        (12345.6, "1.23·10<sup>4</sup>"),
        (2.5e-16, "2.50·10<sup>−16</sup>"),
        (1e6, "1.00·10<sup>6</sup>"),
    ],
)
def test_numbers(value, text):
    assert tables.number(value) == text


def test_powers_of_ten_in_prose_are_set_as_such_but_not_in_code_or_formulas():
    same = "seed 3e5, `npf train 1e-3`, $1e-3$, 0x1e-3, v1e-05, 1.2.3e-4"
    told = tables.harmless(f"**9e-16** of 1.2e+05, -3; {same}")
    assert told == f"**9·10<sup>−16</sup>** of 1.2·10<sup>5</sup>, −3; {same}"


def test_regimes_beside_the_published_numbers():
    runs = {"ReLU": [make_record(seed, 0.98 + 0.001 * seed) for seed in range(3)], "FLNPF": [make_record(0, 0.97)]}
    rows = {row[0]: row[1:] for row in entries(tables.regimes(runs, "mnist-fc-adam", "caption"))}
    assert list(rows) == [LABELS[r] for r in experiments.find("mnist-fc-adam").reported]
    assert rows["ReLU"] == ["98.14 ± 0.07", "98.10 ± 0.10", "98.00 ± 0.10", "0.10"]
    assert rows["FLNPF"] == ["97.82 ± 0.02", "97.00", "96.90", "–"]
    assert rows["DLNPF"][1] == "not run"


def test_scoreboard_shows_ours_budget_difference_and_verdict():
    full = statistics.table_cell(
        "mnist-fc-adam", "ReLU", [make_record(k, peak) for k, peak in enumerate((0.981, 0.982, 0.981))]
    )
    short = statistics.table_cell("mnist-fc-adam", "FLNPF", [quick(k, regime="FLNPF") for k in range(2)])
    single = statistics.table_cell("mnist-fc-adam", "DLNPF", [make_record(0, regime="DLNPF")])
    absent = statistics.table_cell("mnist-fc-adam", "FRNPF-II", [])
    rows = entries(tables.scoreboard([full, short, single, absent]))
    assert rows[0][1] == "98.14 ± 0.07"
    assert rows[0][2] == "98.13 ± 0.06 n = 3; 100 of 100 epochs, 60,000 images; MNIST"
    assert rows[0][3] == str(full.difference)
    assert rows[0][4] == "✓ equivalent"
    assert rows[1][4] == "? undecided reduced budget"
    assert rows[2][3] == "-0.22 (no interval)".replace("-", "−")
    assert rows[3][2:] == ["not run yet", "–", "– not run"]


def test_two_experiments_side_by_side():
    cells = [
        statistics.table_cell(name, regime, [make_record(0, 0.9, regime=regime, experiment=name)] if first else [])
        for first, name in ((True, "mnist-fc-sgd"), (False, "mnist-fc-adam"))
        for regime in experiments.find(name).reported
    ]
    rows = entries(tables.rows_side_by_side(cells, ""))
    assert rows[-1] == ["ReLU", "97.85 ± 0.09", "90.00", "98.14 ± 0.07", "not run yet"]


def test_ledger_links_each_claim_to_its_chapter(tmp_path):
    claim = ledger.record(
        "claim-x",
        "a < b",
        "the paper",
        kind="predicted",
        quantity="a difference",
        measured=0.25,
        interval=(0.1, 0.4),
        level=0.9,
        expected=0.0,
        relation="at least",
        tolerance=0.5,
        tolerance_reason="half a point",
        chapter="05_gates_hold_the_information",
        profile="quick",
        seeds=3,
        data={"stand_in": False, "title": "MNIST"},
        build=tmp_path,
    )
    html = tables.ledger([claim])
    [row] = entries(html)
    assert (row[0], row[2], row[3]) == ("✓ holds predicted", "0.250 [0.100, 0.400]", "≥ −0.5")
    told = (
        "a difference; profile quick, n = 3; data: MNIST tolerance 0.5: half a point source: the paper; stands as: open"
    )
    assert row[1] == f"a < b chapter 5 claim-x {told}"
    assert parse(html).find("a")["href"] == "05_gates_hold_the_information.html"
    keys = parse(html).select_one("tbody tr").attrs
    assert keys == {"data-verdict": "holds", "data-kind": "predicted", "data-chapter": "chapter 5"}
    drawn = parse(tables.ledger([replace(claim, figure="fig-x")])).find("a")
    assert (drawn["href"], drawn.text) == ("05_gates_hold_the_information.html#fig-x", "chapter 5, figure")
    both = tables.ledger([claim, replace(claim, id="claim-z", chapter="01_gates_and_paths")])
    assert [row["data-chapter"] for row in parse(both).select("tbody tr")] == ["chapter 1", "chapter 5"]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("w^(2(d-2)+1) paths", "w<sup>2(d-2)+1</sup> paths"),
        ("2^-(d-1), 2^-24;", "2<sup>-(d-1)</sup>, 2<sup>-24</sup>;"),
        ("K_value < K_gate", "K<sub>value</sub> &lt; K<sub>gate</sub>"),
        ("make_book stays", "make_book stays"),
    ],
)
def test_powers_and_indices_are_set_as_such(text, html):
    assert tables.mathematics(text) == html


def test_the_summary_counts_every_claim_once_a_table(tmp_path):
    given = {
        "quantity": "q", "measured": 0.0, "expected": 0.0, "tolerance": 0.0, "tolerance_reason": "r",
        "profile": "quick", "seeds": 1, "data": None, "build": tmp_path,
    }  # fmt: skip
    made = [
        ledger.record(f"claim-{at}", "s", "o", kind=kind, chapter=chapter, **given | {"measured": float(at == 2)})
        for at, (kind, chapter) in enumerate([("identity", "01_a"), ("identity", "04_b"), ("reported", "04_b")])
    ]
    cells = [statistics.table_cell("mnist-fc-sgd", regime, []) for regime in experiments.find("mnist-fc-sgd").reported]
    grid, kinds, chapters = parse(tables.summary(made, cells)).select("table")
    assert entries(str(kinds)) == [["identity", "2", "", ""], ["reported", "", "1", ""]]
    assert entries(str(chapters)) == [["chapter 1", "1", "", ""], ["chapter 4", "1", "1", ""]]
    assert entries(str(grid)) == [["MNIST, FC, SGD", *["– not run"] * 5]]


@pytest.mark.parametrize(
    ("given", "measured", "accepted"),
    [
        ({"measured": 0.25678, "interval": (-0.2534, 0.7683), "relation": "at least", "tolerance": 0.5},
         "0.26 [−0.25, 0.77]", "≥ −0.5"),
        ({"measured": 0.25678, "relation": "at most", "tolerance": 0.5}, "0.2568", "≤ 0.5"),
        ({"measured": 3e-15, "relation": "equal", "tolerance": 1e-11}, "3.00·10 −15", "0 ± 1.00·10 −11"),
        ({"measured": 12345.6, "interval": (12000.0, 13000.0), "relation": "equal", "tolerance": 0.0},
         "12,346 [12,000, 13,000]", "0"),
        ({"measured": 2e-9, "interval": (1e-9, 3e-9), "relation": "equal", "tolerance": 0.0},
         "2.00·10 −9 [1.00·10 −9 , 3.00·10 −9 ]", "0"),
        ({"measured": 2.0, "interval": (2 - 1e-7, 2 + 1e-7), "relation": "equal", "tolerance": 0.0},
         "2 ± 1.00·10 −7", "0"),
    ],
)  # fmt: skip
def test_verdicts_show_as_many_digits_as_the_interval_supports(tmp_path, given, measured, accepted):
    claim = ledger.record(
        "claim-y", "a < b & c", "the paper", kind="reported", quantity="a difference", expected=0.0,
        tolerance_reason="half a point", chapter="05_gates_hold_the_information", profile="quick", seeds=3,
        build=tmp_path, data={"stand_in": False, "title": "MNIST"}, level=0.9 if "interval" in given else None, **given,
    )  # fmt: skip
    [row] = entries(tables.verdicts([claim], caption="What came of it."))
    assert row[1] == "a < b & c profile quick, n = 3; MNIST"
    assert row[2] == f"{measured} a difference"
    assert row[3] == accepted
    assert "&lt;sup" not in tables.ledger([claim]), "numbers of the ledger are set, not escaped"


def test_machines_are_grouped():
    records = [make_record(seed) for seed in range(3)] + [quick(0)]
    rows = entries(tables.machines(records))
    assert sorted(row[3:5] for row in rows) == [["paper", "3"], ["quick", "1"]]


FOREIGN = "MNIST<script>alert(1)</script>"


def foreign(seed=0, *names, **changes):
    """A record every text of which, as far as it comes from a file, is script."""
    record = make_record(seed, 0.98, *names, **changes)
    library = {"version": FOREIGN, "source": FOREIGN}
    environment = dict.fromkeys(("device", "threads", "torch", "python"), FOREIGN)
    data = {"title": FOREIGN, "stand_in": True}
    return replace(record, data=data, profile=FOREIGN, environment=environment, library=library)


def test_a_column_of_intervals_is_of_one_level_and_says_so(tmp_path):
    given = {
        "kind": "predicted", "quantity": "q", "measured": 0.0, "expected": 0.0, "tolerance": 1.0,
        "tolerance_reason": "one", "chapter": "05", "profile": "quick", "seeds": 3, "data": None, "build": tmp_path,
    }  # fmt: skip
    exact = ledger.record("claim-e", "s", "o", **given)
    one, other = (ledger.record("claim-x", "s", "o", interval=(-0.5, 0.5), level=p, **given) for p in (0.9, 0.95))
    for made in (tables.ledger, tables.verdicts):
        assert '<th scope="col">measured</th>' in made([exact])
        assert '<th scope="col">measured [95 % interval]</th>' in made([exact, other])
        with pytest.raises(ValueError, match=r"one level; these are of \[0\.9, 0\.95\]"):
            made([one, other])


def test_text_from_files_is_text_in_every_table(tmp_path):
    runs = [foreign(seed) for seed in range(2)]
    cell = statistics.table_cell("mnist-fc-adam", "ReLU", runs)
    others = [statistics.table_cell("mnist-fc-adam", r, []) for r in ("FRNPF-II", "FRNPF-DI", "DLNPF", "FLNPF")]
    claim = ledger.record(
        "claim-x", "a", "b", kind="identity", quantity="c", measured=1.0, expected=0.0, tolerance=0.0,
        tolerance_reason="d", chapter="05_x", profile="quick", seeds=3, build=tmp_path, data=runs[0].data,
    )  # fmt: skip
    texts = {field.name for field in fields(claim) if field.type is str} - {"relation", "verdict"}
    claim = replace(claim, **dict.fromkeys(texts, FOREIGN))
    shown = {
        "table": tables.table([FOREIGN], [[FOREIGN]], caption=FOREIGN, data=runs[0].data),
        "regimes": tables.regimes({"ReLU": runs}, "mnist-fc-adam", FOREIGN),
        "rows_side_by_side": tables.rows_side_by_side([cell, *others], FOREIGN),
        "scoreboard": tables.scoreboard([cell], FOREIGN),
        "ledger": tables.ledger([claim], FOREIGN),
        "summary": tables.summary([claim], [cell]),
        "mathematics": tables.mathematics(FOREIGN),
        "verdicts": tables.verdicts([claim], FOREIGN),
        "machines": tables.machines(runs),
        "entry": tables.entry(FOREIGN, FOREIGN),
        "small": tables.small(FOREIGN),
        "harmless": MarkdownIt().render(tables.harmless(f"**n** = 3, {FOREIGN} and {tables.number(1e-7)}")),
    }
    for name, html in shown.items():
        assert parse(html).find("script") is None, name
        assert "<script" not in html, name
        assert "alert(1)" in parse(html).get_text(), name
    image = "<img src=x onerror=alert(1)>"  # without a slash, after which a path's last part begins
    assert "<img" not in tables.ledger([replace(claim, **dict.fromkeys(texts, image))])
    with pytest.raises(ValueError, match="unknown verdict"):
        tables.verdict(FOREIGN)
    other = {"measured", "accepted", "number", "reported", "verdict"}  # take numbers, or nothing, from files
    public = {n for n, f in vars(tables).items() if callable(f) and getattr(f, "__module__", "") == tables.__name__}
    assert {name for name in public if not name.startswith("_")} == {*shown, *other, "Html"}
