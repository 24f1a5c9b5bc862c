"""The gate explorer in a browser: its arithmetic is Python's, and mouse, keyboard and screen readers can use it."""

import ast
import json
import math
import random
from pathlib import Path

import nbformat
import pytest
import torch
from test_explorer import by_hand

from companion import explorer

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = PROJECT / "book" / "explorer"
NUMBERS = ("open", "open2", "output", "output2", "sum", "overlap", "inner", "kernel", "gram")
# The theme's colours and a page around the notebook's output; nothing else of the book is needed.
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>explorer</title>
<meta name="viewport" content="width=device-width"><style>:root {{ --pst-color-text-base: #222832;
--pst-color-text-muted: #48566b; --pst-color-background: #fff; --pst-color-border: #d1d5da }} body {{ margin: 15px }}
</style></head><body class="bd-article"><div class="output text_html">{}</div></body></html>"""


def output_of_the_notebook() -> tuple[str, dict]:
    """The HTML that the notebook shows as the explorer, and the notebook's variables at that point."""
    space: dict = {"__name__": "__main__"}
    for cell in nbformat.read(PROJECT / "notebooks" / "gate_explorer.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "cell", "exec"), space)
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), space) if last else None
            if "npf-explorer" in str(getattr(shown, "data", "")):
                return shown.data, space
    raise AssertionError("no cell of notebooks/gate_explorer.ipynb shows the explorer")


class Shown:
    """One explorer in one tab, and what went wrong there."""

    def __init__(self, browser, path: Path, html: str):
        path.write_text(PAGE.format(html), encoding="utf-8")
        self.faults: list[str] = []
        self.tab = browser.new_page()
        self.tab.on("console", lambda m: m.type in ("error", "warning") and self.faults.append(m.text))
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("request", lambda r: r.url == path.as_uri() or self.faults.append(f"asks {r.url}"))
        self.tab.goto(path.as_uri())

    def set(self, x, x2) -> None:
        self.tab.evaluate("p => document.querySelector('.npf-explorer').explorer.set(...p)", [x, x2])

    def data(self) -> dict[str, str]:
        return self.tab.evaluate("() => ({...document.querySelector('.npf-explorer').dataset})")

    def points(self) -> list[list[float]]:
        data = self.data()
        return [[float(part) for part in data[name].split()] for name in ("x", "x2")]

    def column(self, name: str) -> list[float]:
        rows = "rows => rows.map(row => row.dataset[NAME])".replace("NAME", json.dumps(name))
        return [float(value) for value in self.tab.eval_on_selector_all(".npf-scroll tbody tr", rows)]

    def on(self, mark: str) -> list[int]:
        units = "units => units.map(unit => Number(unit.classList.contains(MARK)))".replace("MARK", json.dumps(mark))
        return self.tab.eval_on_selector_all(".npf-unit", units)


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """The notebook's own explorer, with the network, the constants and the points at which it opens."""
    torch.set_num_threads(1)
    html, space = output_of_the_notebook()
    shown = Shown(browser, tmp_path_factory.mktemp("explorer") / "page.html", html)
    shown.network, shown.constants, shown.start = space["network"], space["CONSTANTS"], space["START"]
    yield shown
    shown.tab.close()


@pytest.fixture(autouse=True)
def _at_the_start(request):
    if "page" in request.fixturenames:
        page = request.getfixturevalue("page")
        page.set(*page.start)
        page.tab.set_viewport_size({"width": 1280, "height": 900})


def agrees(shown: Shown, network, constants) -> None:
    """Everything on the page is what Python computes for the page's points."""
    x, x2 = shown.points()
    truth, data = explorer.at(network, x, x2, constants), shown.data()
    for name in NUMBERS:
        assert float(data[name]) == pytest.approx(truth[name], rel=1e-9, abs=1e-9), (name, x, x2)
    for name in ("gates", "gates2"):
        assert [[int(on) for on in layer] for layer in data[name].split()] == truth[name], (x, x2)
    assert shown.on("npf-is-on") == [on for layer in truth["gates"] for on in layer]
    assert shown.on("npf-is-second") == [on for layer in truth["gates2"] for on in layer]
    for column, name in (("phi", "features"), ("v", "values"), ("product", "products"), ("phi2", "features2")):
        assert shown.column(column) == pytest.approx(truth[name], rel=1e-9, abs=1e-9), (name, x, x2)
    assert math.fsum(shown.column("product")) == pytest.approx(float(data["output"]), rel=1e-9, abs=1e-9)


def test_a_hundred_random_points_agree_with_python(page):
    rng = random.Random(0)
    for _ in range(100):
        page.set(*([rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(2)))
        agrees(page, page.network, page.constants)


def test_nothing_is_fetched_and_nothing_goes_wrong(page):
    assert page.faults == []


def test_it_opens_at_the_start_with_the_regions_of_both_points_outlined(page):
    assert page.points() == [list(p) for p in page.start]
    for name in ("here", "there"):
        assert page.tab.locator(f".npf-{name}").get_attribute("points")


def test_the_written_numbers_are_the_computed_ones(page):
    """Rounded to what is shown, and closed paths left out of sight but not out of the list."""
    written = [text.replace("−", "-") for text in page.tab.locator(".npf-cards dd").all_inner_texts()]
    data = page.data()
    for text, name in zip(
        (written[0], written[1], *written[4:]), ("sum", "output", "inner", "kernel", "gram"), strict=True
    ):
        assert float(text) == pytest.approx(float(data[name]), abs=5.1e-4)
    factors, overlap = written[3].split(" = ")
    assert math.prod(int(factor) for factor in factors.split(" · ")) == int(overlap) == float(data["overlap"])
    rows = page.tab.locator(".npf-scroll tbody tr")
    visible = sum(rows.nth(k).is_visible() for k in range(rows.count()))
    assert visible == float(data["open"])
    page.tab.get_by_label("list the paths that are closed").check()
    assert rows.count() == sum(rows.nth(k).is_visible() for k in range(rows.count())) == page.network.arch.paths
    page.tab.get_by_label("list the paths that are closed").uncheck()


@pytest.mark.parametrize(("handle", "index"), [("Point x", 0), ("Second point, x prime", 1)])
def test_arrow_keys_move_the_point_that_has_the_focus(page, handle, index):
    slider = page.tab.get_by_role("slider", name=handle, exact=True)
    slider.focus()
    before = page.points()
    page.tab.keyboard.press("ArrowRight")
    page.tab.keyboard.press("Shift+ArrowDown")
    after = page.points()
    assert after[index] == pytest.approx([before[index][0] + 0.05, before[index][1] - 0.25])
    assert after[1 - index] == before[1 - index]
    assert f"{after[index][0]:.2f}".replace("-", "−") in slider.get_attribute("aria-valuetext")
    ring = slider.locator(".npf-ring").evaluate("ring => getComputedStyle(ring).stroke")
    assert ring != "none"
    for _ in range(12):
        page.tab.keyboard.press("Shift+ArrowLeft")
    assert page.points()[index][0] == -1
    agrees(page, page.network, page.constants)


def test_the_tab_key_reaches_points_units_reset_and_list(page):
    page.tab.locator(".npf-handle").first.focus()
    active, reached = "() => [...document.activeElement.classList, document.activeElement.tagName][0]", []
    for _ in range(6):
        reached.append(page.tab.evaluate(active))
        page.tab.keyboard.press("Tab")
    assert reached == ["npf-handle", "npf-handle", "npf-unit", "BUTTON", "INPUT", "npf-scroll"]


def test_dragging_moves_the_point_and_a_click_brings_x(page):
    mark = page.tab.locator(".npf-x2 .npf-mark")
    mark.scroll_into_view_if_needed()
    box, frame = mark.bounding_box(), page.tab.locator(".npf-frame").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.tab.mouse.move(*middle)
    page.tab.mouse.down()
    page.tab.mouse.move(middle[0] + 0.2 * frame["width"], middle[1] + 0.3 * frame["height"], steps=5)
    page.tab.mouse.up()
    page.tab.evaluate("() => new Promise(requestAnimationFrame)")
    x, x2 = page.points()
    assert x == list(page.start[0])
    assert x2 == pytest.approx([page.start[1][0] + 0.4, page.start[1][1] - 0.6], abs=0.02)
    page.tab.mouse.click(frame["x"] + 0.25 * frame["width"], frame["y"] + 0.25 * frame["height"])
    assert page.points()[0] == pytest.approx([-0.5, 0.5], abs=0.02)
    agrees(page, page.network, page.constants)
    page.tab.get_by_role("button", name="Back to the start").click()
    assert page.points() == [list(p) for p in page.start]


def test_each_unit_marks_its_edges_or_says_that_it_has_none_here(page):
    _, lines = explorer.regions(page.network, page.constants)
    units, width = page.tab.locator(".npf-unit"), page.network.arch.width
    units.first.focus()
    for k in range(units.count()):
        page.tab.keyboard.press("Enter")
        assert units.nth(k).get_attribute("aria-pressed") == "true"
        edges = sum((edge.layer, edge.unit) == divmod(k, width) for edge in lines)
        assert page.tab.locator(".npf-marked").count() == edges
        assert ("has no edge" in page.tab.locator(".npf-last").inner_text()) == (edges == 0)
        page.tab.evaluate("() => { document.querySelector('.npf-last').textContent = '' }")
        page.tab.keyboard.press("ArrowDown")
    assert units.first.evaluate("unit => unit === document.activeElement")
    units.last.click()
    assert page.tab.locator(".npf-marked, .npf-unit[aria-pressed='true']").count() == 0


def test_a_move_is_told_in_words(page):
    page.tab.evaluate("() => { document.querySelector('.npf-live').textContent = '' }")
    page.set([0, 0.9], page.start[1])
    page.tab.wait_for_function("() => document.querySelector('.npf-live').textContent.length")
    told = page.tab.locator(".npf-live").text_content()
    assert "x at (0.00, 0.90)" in told
    assert f"{page.data()['open']} of {page.network.arch.paths} paths open" in told
    assert "is now" in page.tab.locator(".npf-last").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_in_both_themes(page, theme):
    page.tab.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    page.tab.set_viewport_size({"width": 390, "height": 844})
    assert page.tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    reach = page.tab.locator(".npf-x .npf-reach").bounding_box()
    assert min(reach["width"], reach["height"]) >= 44
    page.tab.evaluate("() => { document.documentElement.dataset.theme = 'light' }")


def test_a_move_takes_a_fraction_of_a_frame(page):
    """One frame at 60 a second is 16.7 ms. The fastest tenth counts: other programs may hold the cores meanwhile."""
    took = {
        layout: page.tab.evaluate(
            """layout => { const root = document.querySelector('.npf-explorer'), took = [];
                 for (let k = 0; k < 300; k++) { const start = performance.now();
                   root.explorer.set([Math.cos(k / 90), Math.sin(k / 70)], [Math.sin(k / 50), Math.cos(k / 60)]);
                   if (layout) root.getBoundingClientRect();
                   took.push(performance.now() - start) }
                 return took.sort((a, b) => a - b)[30] }""",
            layout,
        )
        for layout in (False, True)
    }
    print(f"a move: {took[False]:.2f} ms of script, {took[True]:.2f} ms with layout")
    assert took[False] < 4
    assert took[True] < 8


def test_a_unit_at_exactly_zero_is_closed(browser, tmp_path):
    """Whole-number weights, so that pre-activations of zero are exact in any order of summation."""
    network = by_hand([[[1.0, -1.0], [0.0, 2.0]], [[1.0, 1.0], [-1.0, 1.0]], [[1.0, -2.0]]])
    script, style = ((SOURCES / f"gate_explorer.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    data = explorer.export(network, start=((0.5, 0.5), (0, 0)))
    shown = Shown(browser, tmp_path / "page.html", explorer.html(data, script, style))
    try:
        for x, x2 in (((0.5, 0.5), (0, 0)), ((0.5, 0), (0.25, 0.25)), ((-1, -1), (1, 1)), ((0, 0), (0, 0.5))):
            shown.set(x, x2)
            agrees(shown, network, ())
        shown.set((0.5, 0.5), (0, 0))
        assert shown.data()["gates"].split()[0] == "01"
        assert shown.data()["gates2"] == "00 00"
        assert shown.faults == []
    finally:
        shown.tab.close()


def test_it_says_so_without_javascript():
    html = explorer.html(explorer.export(by_hand([[[1.0, 0.0]], [[1.0]]]), start=((0, 0), (0, 0))), "", "")
    assert "needs JavaScript" in html


def test_script_and_style_are_small_and_name_no_host():
    texts = [(SOURCES / f"gate_explorer.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")]
    assert sum(len(text.encode()) for text in texts) <= 40_000
    for text in texts:
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
