"""The gate explorer in a browser: its arithmetic is Python's, and mouse, keyboard and screen readers can use it."""

import ast
import json
import math
import random
from pathlib import Path

import nbformat
import pytest
import torch
from accessibility import findings, set_mode
from explorer_truth import at, regions
from torch.nn.functional import softplus

from companion import explorer
from npflib import kernels
from npflib.networks import FullyConnected

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = PROJECT / "book" / "explorer"
NUMBERS = ("open", "open2", "output", "output2", "sum", "overlap", "inner", "kernel", "gram")
# The theme's colours, its first link, and a long navigation, around the notebook's output; nothing else is needed.
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>explorer</title>
<meta name="viewport" content="width=device-width"><style>:root {{ --pst-color-text-base: #222832;
--pst-color-text-muted: #48566b; --pst-color-background: #fff; --pst-color-border: #d1d5da }} html[data-theme=dark] {{
--pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; --pst-color-background: #14181e;
--pst-color-border: #48566b }} body {{ margin: 15px; background: var(--pst-color-background) }}
a, h1 {{ color: var(--pst-color-text-base) }}
nav {{ display: none }} nav.shown {{ display: block }}</style></head>
<body class="bd-article"><div class="skip-link"><a href="#main">Skip to main content</a></div>
<nav>{0}</nav><main id="main"><h1>Explorer</h1><div class="output text_html">{1}</div></main></body></html>"""
LINKS = "".join(f'<a href="#{k}">link {k} </a>' for k in range(40))


def output_of_the_notebook() -> tuple[str, dict]:
    """The HTML that the notebook shows as the explorer in profile smoke, and the notebook's variables at that point."""
    space: dict = {"__name__": "__main__"}
    for cell in nbformat.read(PROJECT / "notebooks" / "gate_explorer.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "cell", "exec"), space)
            shown = eval(compile(ast.Expression(last.value), "cell", "eval"), space) if last else None
            if "npf-explorer" in str(getattr(shown, "data", "")):
                return shown.data, space
            if "parameters" in cell.metadata.get("tags", []):
                space["profile"] = "smoke"
    raise AssertionError("no cell of notebooks/gate_explorer.ipynb shows the explorer")


class Shown:
    """One explorer in one tab, and what went wrong there."""

    def __init__(self, browser, path: Path, html: str, address: str = "", **media):
        path.write_text(PAGE.format(LINKS, html), encoding="utf-8")
        self.faults: list[str] = []
        self.tab, self.uri = browser.new_page(), path.as_uri()
        self.tab.emulate_media(**media)
        self.tab.on("console", lambda m: m.type in ("error", "warning") and self.faults.append(m.text))
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("request", lambda r: r.url.startswith((self.uri, "data:")) or self.faults.append(f"asks {r.url}"))
        self.tab.goto(self.uri + address)

    def ask(self, what: str, *given):
        """A property or method of the explorer, e.g. "state()"; arguments are a, b, …"""
        names = ", ".join("abc"[: len(given)])
        return self.tab.evaluate(f"([{names}]) => document.querySelector('.npf-explorer').explorer.{what}", list(given))

    def set(self, **changes) -> None:
        self.ask("set(a)", changes)

    def state(self) -> dict:
        return self.ask("state()")

    def wait(self, what: str) -> None:
        """Until something is true of the explorer's ``state``, and drawn: that comes with the next frame."""
        self.tab.wait_for_function(
            f"() => {{ const state = document.querySelector('.npf-explorer').explorer.state(); return {what} }}"
        )
        self.tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def points(self) -> list[list[float]]:
        state = self.state()
        return [state["x"], state["x2"]]

    def on(self, mark: str) -> list[int]:
        units = "units => units.map(unit => Number(unit.classList.contains(MARK)))".replace("MARK", json.dumps(mark))
        return self.tab.eval_on_selector_all(".npf-unit", units)

    def picture(self, plane: int) -> list[dict]:
        """Regions as drawn: corners in the plane, and at each, unless flat, the share of the scale in its colour."""
        drawn = (
            self.tab.locator(".npf-plane")
            .nth(plane)
            .evaluate(
                """box => [...box.querySelectorAll('.npf-regions polygon')].map(area => {
                 const id = /url\\("#(.*)"\\)/.exec(area.style.fill)?.[1], ends = id && document.getElementById(id);
                 return {points: area.getAttribute('points'), fill: area.style.fill,
                         ends: ends && ['x1', 'y1', 'x2', 'y2'].map(name => Number(ends.getAttribute(name)))} })"""
            )
        )
        for area in drawn:
            places = [tuple(map(float, place.split(","))) for place in area.pop("points").split()]
            area["corners"] = [(x / 100, -y / 100) for x, y in places]
            if area["ends"]:
                x1, y1, x2, y2 = area["ends"]
                dx, dy = x2 - x1, y2 - y1
                along = [((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy) for x, y in places]
                area["values"] = [2 * share - 1 for share in along]
        return drawn


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """The notebook's own explorer, with the task, the networks and the points at which it opens."""
    torch.set_num_threads(1)
    html, space = output_of_the_notebook()
    shown = Shown(browser, tmp_path_factory.mktemp("explorer") / "page.html", html)
    shown.html, shown.task, shown.arch, shown.start = html, space["task"], space["arch"], space["START"]
    shown.opening = {"stage": "train", "step": 0, "again": 0, "seed": 0, "shade": "output", "view": "FLNPF"}
    shown.opening |= {name: list(point) for name, point in zip(("x", "x2"), shown.start, strict=True)}
    shown.trained = {}
    yield shown
    shown.tab.close()


@pytest.fixture(autouse=True)
def _at_the_start(request):
    if "page" in request.fixturenames:
        page = request.getfixturevalue("page")
        page.tab.keyboard.press("Escape")
        page.set(**page.opening)
        page.tab.set_viewport_size({"width": 1280, "height": 900})


def python(page, regime: str, seed: int, step: int, frozen: int = 0):
    """npflib's network of a regime after so many steps; FLNPF's gates are the ReLU network's at step `frozen`."""
    key = (regime, seed, step, frozen)
    if key not in page.trained:
        learnt = python(page, "ReLU", seed, frozen) if regime == "FLNPF" else None
        network = explorer.begin(regime, page.arch, seed, learnt)
        explorer.descend(network, page.task, step)
        page.trained[key] = network
    return page.trained[key]


def flat(weights) -> list[float]:
    tensors = [torch.as_tensor(weight, dtype=torch.float64).detach() for weight in weights]
    return [entry for tensor in tensors for entry in tensor.flatten().tolist()]


def close(truth):
    return pytest.approx(truth, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("regime", "frozen", "last"), [("ReLU", 0, 700), ("FRNPF-II", 0, 700), ("FLNPF", 150, 100)])
def test_training_is_npflibs_step_by_step(page, regime, frozen, last):
    """Weights of a training of npflib's own; and at the page's weights, loss, gradient, accuracy and the next step.

    Steps of a fixed rate may pass a loss that is too steep for it and multiply what rounding differs by, a trait of the
    problem: there the two trainings are compared up to the ``last`` step before, and step by step beyond.
    """
    steps = [*range(30), *range(50, 701, 50)]
    given = [[regime, k + more, {"seed": 0, "step": frozen}] for k in steps for more in (0, 1)]
    ours = page.tab.evaluate("all => all.map(a => document.querySelector('.npf-explorer').explorer.run(...a))", given)
    learnt = python(page, "ReLU", 0, frozen) if regime == "FLNPF" else None
    trained, network = (explorer.begin(regime, page.arch, 0, learnt) for _ in range(2))
    inputs, done = page.task.inputs(page.task.points), 0
    for step, found, after in zip(steps, ours[::2], ours[1::2], strict=True):
        if step <= last:
            explorer.descend(trained, page.task, step - done)
            done = step
            assert flat(found["weights"]) == close(flat(trained.weights)), step
        with torch.no_grad():
            for own, weight in zip(network.weights, found["weights"], strict=True):
                own.copy_(torch.tensor(weight, dtype=torch.float64))
        loss = softplus(-page.task.labels * network(inputs)[:, 0]).mean()
        assert found["loss"] == close(loss.item()), step
        assert flat(found["gradient"]) == close(flat(torch.autograd.grad(loss, list(network.weights)))), step
        assert found["right"] == page.task.right(network), step
        explorer.descend(network, page.task, 1)
        assert flat(after["weights"]) == close(flat(network.weights)), step
    assert ours[-1]["loss"] < 0.5 * ours[0]["loss"]  # it was worth comparing


@pytest.mark.parametrize("shade", ["output", "kernel"])
@pytest.mark.parametrize("step", [0, 7, 300])
def test_the_picture_is_that_of_the_regions_computed_in_python(page, step, shade):
    """Every region's corners, and at each the output or H(x, ·) behind the region's gates, as the colours show them."""
    page.set(seed=1, step=step, shade=shade)
    matches(page, 0, python(page, "ReLU", 1, step), shade)


@pytest.mark.parametrize("shade", ["output", "kernel"])
def test_both_frozen_planes_are_drawn_as_python_computes_them(page, shade):
    page.set(stage="frozen", step=250, again=60, seed=1, shade=shade)
    matches(page, 0, python(page, "FLNPF", 1, 60, 250), shade)
    matches(page, 1, python(page, "FRNPF-II", 1, 60), shade)


def matches(page, plane: int, network, shade: str) -> None:
    constants, scale = page.task.constants, page.state()["scales"][plane]
    truth = {region.gates: region for region in regions(network, constants)}
    drawn, gates = page.picture(plane), page.ask("tile(a)", plane)
    assert len(drawn) == len(gates) == len(truth)
    x = page.task.inputs(torch.tensor([page.points()[0]], dtype=torch.float64))
    at_x = network.gates(x)
    for area, pattern in zip(drawn, gates, strict=True):
        region = truth[tuple(map(tuple, pattern))]
        corners = torch.tensor(area["corners"], dtype=torch.float64)
        assert corners.flatten().tolist() == pytest.approx(region.corners.flatten().tolist(), abs=1e-9)
        inputs = page.task.inputs(corners)
        if shade == "output":
            values = inputs @ torch.tensor(region.slope)
        else:
            own = [torch.tensor([layer] * len(corners), dtype=torch.float64) for layer in pattern]
            values = kernels.neural_path_kernel(x, at_x, inputs, own)[0]
        if area["ends"]:
            assert area["values"] == pytest.approx((values / scale).tolist(), rel=1e-7, abs=1e-9)
        else:
            assert (values - values[0]).abs().max() < 1e-8 * scale
            assert (" 0%" in area["fill"]) == (abs(float(values[0])) < 0.005 * scale)


def agrees(shown, network, constants) -> None:
    """Everything on the page is what Python computes for the page's points."""
    state = shown.state()
    truth = at(network, state["x"], state["x2"], constants)
    for name in NUMBERS:
        assert state[name] == close(truth[name]), name
    for name in ("gates", "gates2"):
        assert state[name] == truth[name]
    assert shown.on("npf-is-on") == [on for layer in truth["gates"] for on in layer]
    assert shown.on("npf-is-second") == [on for layer in truth["gates2"] for on in layer]
    for name in ("values", "features", "features2", "products"):
        assert state[name] == close(truth[name]), name
    assert flat(state["q"]) == close(flat(truth["pre_activations"]))


@pytest.mark.parametrize(
    ("changes", "network"),
    [
        ({"step": 300}, ("ReLU", 0, 300)),
        ({"stage": "frozen", "step": 100, "again": 20, "view": "FLNPF"}, ("FLNPF", 0, 20, 100)),
        ({"stage": "frozen", "step": 100, "again": 20, "view": "FRNPF-II"}, ("FRNPF-II", 0, 20)),
    ],
)
def test_random_points_agree_with_python(page, changes, network):
    rng = random.Random(0)
    page.set(**changes)
    for _ in range(25):
        page.set(**{name: [rng.uniform(-1, 1), rng.uniform(-1, 1)] for name in ("x", "x2")})
        agrees(page, python(page, *network), page.task.constants)


def test_nothing_is_fetched_and_nothing_goes_wrong(page):
    assert page.faults == []


def test_it_opens_at_the_start_with_the_regions_of_both_points_outlined(page):
    assert page.points() == [list(p) for p in page.start]
    for name in ("here", "there"):
        assert page.tab.locator(f".npf-{name}").first.get_attribute("points")
    assert page.tab.locator(".npf-plane").nth(1).is_hidden()


def test_the_written_numbers_are_the_computed_ones(page):
    """Rounded to what is shown, and closed paths left out of sight but not out of the list."""
    page.set(step=50)
    written = [text.replace("−", "-") for text in page.tab.locator(".npf-cards dd").all_inner_texts()]
    data = page.state()
    for text, name in zip(
        (written[0], written[1], *written[4:]), ("sum", "output", "inner", "kernel", "gram"), strict=True
    ):
        assert float(text) == pytest.approx(data[name], abs=5.1e-4)
    factors, overlap = written[3].split(" = ")
    assert math.prod(int(factor) for factor in factors.split(" · ")) == int(overlap) == data["overlap"]
    rows = page.tab.locator(".npf-scroll tbody tr")
    visible = "rows => rows.filter(row => row.offsetParent).length"
    assert rows.evaluate_all(visible) == data["open"]
    page.tab.get_by_label("list the paths that are closed").check()
    assert rows.count() == rows.evaluate_all(visible) == page.arch.paths
    page.tab.get_by_label("list the paths that are closed").uncheck()
    found = page.ask("run(a, b)", "ReLU", 50)
    told = page.tab.locator(".npf-told").first.inner_text()
    assert told.startswith(f"Loss {found['loss']:.3f}, {100 * found['right']:.1f} % of {len(page.task.tests)}")


def test_the_experiment_by_its_buttons(page):
    """Train, stop by Escape, freeze: the gates stay as they were, both new weights begin alike, and both learn."""
    page.tab.get_by_role("button", name="Train").click()
    played = page.tab.wait_for_function(  # at once: on a busy machine all 5 s may be over before a key arrives
        """() => { const { step, playing } = document.querySelector('.npf-explorer').explorer.state();
                   const escape = new KeyboardEvent('keydown', { key: 'Escape', bubbles: true });
                   if (step > 20) document.activeElement.dispatchEvent(escape);
                   return step > 20 && { playing } }"""
    )
    assert played.json_value()["playing"]
    state = page.state()
    assert not state["playing"]
    page.tab.get_by_role("button", name="Freeze").click()
    assert page.tab.get_by_role("button", name="Pause").is_visible()
    page.tab.wait_for_function(
        """() => { const again = document.querySelector('.npf-explorer').explorer.state().again;
                   if (again > 20) document.querySelector('.npf-play').click();
                   return again > 20 }"""
    )
    after = page.state()
    assert (after["stage"], after["step"], after["playing"]) == ("frozen", state["step"], False)
    assert page.tab.locator(".npf-plane").nth(1).is_visible()
    first = [page.ask("run(a, b)", regime, 0) for regime in ("FLNPF", "FRNPF-II")]
    assert first[0]["weights"] == first[1]["weights"]
    for regime, begun in zip(("FLNPF", "FRNPF-II"), first, strict=True):
        assert page.ask("run(a, b)", regime, after["again"])["loss"] < begun["loss"]
        curve = page.tab.locator(f".npf-curve.npf-of-{regime}").first.get_attribute("points")
        assert len(curve.split()) == after["again"] // 10 + 1 + (after["again"] % 10 > 0)
    page.tab.get_by_role("button", name="ReLU network").click()
    assert page.state()["stage"] == "train"


def test_the_slider_moves_by_keys(page):
    slider = page.tab.get_by_role("slider", name="Step of training")
    slider.focus()
    page.tab.keyboard.press("End")
    page.wait("state.step === 300")
    page.tab.keyboard.press("Home")
    page.tab.keyboard.press("ArrowRight")
    page.wait("state.step === 1")
    assert slider.get_attribute("aria-valuetext") == "step 1 of 300"


@pytest.mark.parametrize(("handle", "index"), [("Point x", 0), ("Second point, x prime", 1)])
def test_keys_move_the_point_that_has_the_focus(page, handle, index):
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
    page.tab.keyboard.press("Home")
    assert page.points()[index] == list(page.start[index])


def test_the_first_point_is_within_five_tabs(page, browser, tmp_path):
    """From the top of a page with a long navigation by the link over it; within the figure by itself."""
    shown = Shown(browser, tmp_path / "page.html", page.html)
    try:
        shown.tab.evaluate("() => document.querySelector('nav').classList.add('shown')")
        active = "() => [...document.activeElement.classList, document.activeElement.tagName][0]"
        for _ in range(2):
            shown.tab.keyboard.press("Tab")
        shown.tab.keyboard.press("Enter")
        assert shown.tab.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Point x"
        shown.tab.locator(".npf-play").focus()
        reached = []
        for _ in range(11):
            reached.append(shown.tab.evaluate(active))
            shown.tab.keyboard.press("Tab")
    finally:
        shown.tab.close()
    first, second = "npf-handle", "npf-unit"
    assert reached[:5] == ["npf-play", "INPUT", "npf-freeze", first, first]
    assert reached[5:] == ["SELECT", "SELECT", "npf-reset", second, "INPUT", "npf-scroll"]


def test_dragging_moves_the_point_a_click_brings_x_and_escape_takes_a_drag_back(page):
    mark = page.tab.locator(".npf-x2 .npf-mark").first
    mark.scroll_into_view_if_needed()
    box, frame = mark.bounding_box(), page.tab.locator(".npf-frame").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag():
        page.tab.mouse.move(*middle)
        page.tab.mouse.down()
        page.tab.mouse.move(middle[0] + 0.2 * frame["width"], middle[1] + 0.3 * frame["height"], steps=5)
        page.tab.evaluate("() => new Promise(requestAnimationFrame)")

    drag()
    x, x2 = page.points()
    assert x == list(page.start[0])
    assert x2 == pytest.approx([page.start[1][0] + 0.4, page.start[1][1] - 0.6], abs=0.02)
    page.tab.keyboard.press("Escape")
    page.tab.mouse.move(*middle)
    page.tab.mouse.up()
    assert page.points() == [list(p) for p in page.start]
    drag()
    page.tab.mouse.up()
    page.tab.mouse.click(frame["x"] + 0.25 * frame["width"], frame["y"] + 0.25 * frame["height"])
    assert page.points()[0] == pytest.approx([-0.5, 0.5], abs=0.02)
    agrees(page, python(page, "ReLU", 0, 0), page.task.constants)
    page.tab.get_by_role("button", name="Back to the start").click()
    assert page.points() == [list(p) for p in page.start]


def test_each_unit_marks_its_edges_or_says_that_it_has_none_here(page):
    _, lines = explorer.regions(python(page, "ReLU", 0, 0), page.task.constants)
    units, width = page.tab.locator(".npf-unit"), page.arch.width
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
    units.last.click()
    page.tab.keyboard.press("Escape")
    assert page.tab.locator(".npf-unit[aria-pressed='true']").count() == 0


def test_a_path_is_lit_in_network_and_table_from_either(page):
    """By its row, by keys in the table, and by a weight in the network, whose largest path it is."""
    lit, traced = page.tab.locator(".npf-lit th"), page.tab.locator(".npf-traced")
    row = page.tab.locator(".npf-scroll tbody tr:not(.npf-closed)").nth(2)
    row.hover()
    assert lit.inner_text() == row.locator("th").inner_text()
    assert traced.count() == page.arch.depth
    page.tab.locator(".npf-scroll").focus()
    page.tab.keyboard.press("Home")
    page.tab.keyboard.press("ArrowDown")
    assert lit.inner_text() == page.tab.locator(".npf-scroll tbody tr:not(.npf-closed) th").nth(1).inner_text()
    assert page.tab.locator(".npf-live").text_content().startswith("Path ")
    page.tab.keyboard.press("Escape")
    assert lit.count() == traced.count() == 0
    state = page.state()
    page.tab.locator(".npf-hits line").nth(5).dispatch_event("pointerenter")  # from input 3 to unit 2
    paths = torch.cartesian_prod(*(torch.arange(width) for width in page.arch.widths)).tolist()
    sizes = {"→".join(str(node + 1) for node in path): abs(v) for path, v in zip(paths, state["products"], strict=True)}
    through = {name: size for name, size in sizes.items() if name.startswith("3→2→")}
    assert lit.text_content() == max(through, key=through.get)
    assert traced.count() == page.arch.depth


def test_the_address_holds_the_state(page, browser, tmp_path):
    wanted = {"stage": "frozen", "step": 120, "again": 30, "seed": 1, "shade": "kernel", "view": "FRNPF-II"}
    page.set(**wanted, x=[0.5, -0.25], x2=[-0.75, 0.125])
    page.tab.wait_for_function("() => location.hash.includes('again=30')")
    state, depth = page.state(), page.tab.evaluate("() => history.length")
    shown = Shown(browser, tmp_path / "page.html", page.html, page.tab.evaluate("() => location.hash"))
    try:
        assert shown.state() == state
        shown.tab.evaluate("() => { location.hash = '#explorer=train&step=40&x=9,oops&seed=77&shade=none&again=-3' }")
        shown.wait("state.step === 40")
        found = shown.state()
        assert {name: found[name] for name in page.opening} == page.opening | {"step": 40}
        assert shown.faults == []
    finally:
        shown.tab.close()
    page.set(x=[0.25, 0.25])
    page.tab.wait_for_function("() => location.hash.includes('x=0.25,0.25')")
    assert page.tab.evaluate("() => history.length") == depth  # going back leaves the page


def test_reduced_motion_is_respected(page, browser, tmp_path):
    shown = Shown(browser, tmp_path / "page.html", page.html, reduced_motion="reduce")
    try:
        shown.tab.get_by_role("button", name="Train: 100 steps").click()
        assert (shown.state()["step"], shown.state()["playing"]) == (100, False)
        shown.tab.get_by_role("button", name="Freeze").click()
        assert (shown.state()["again"], shown.state()["playing"]) == (0, False)
        shown.tab.get_by_role("button", name="Train new weights: 100 steps").click()
        assert shown.state()["again"] == 100
    finally:
        shown.tab.close()


def test_a_move_is_told_in_words(page):
    page.tab.evaluate("() => { document.querySelector('.npf-live').textContent = '' }")
    page.set(x=[0, 0.9])
    page.tab.wait_for_function("() => document.querySelector('.npf-live').textContent.length")
    told = page.tab.locator(".npf-live").text_content()
    assert "x at (0.00, 0.90)" in told
    assert f"{page.state()['open']} of {page.arch.paths} paths open" in told
    assert "is now" in page.tab.locator(".npf-last").inner_text()


@pytest.mark.parametrize("stage", ["train", "frozen"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_and_is_accessible(page, theme, stage):
    page.set(stage=stage, step=60, again=10)
    set_mode(page.tab, theme)
    faults = findings(page.tab, rules=() if theme == "light" else ("color-contrast",))
    page.tab.set_viewport_size({"width": 390, "height": 844})
    assert page.tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    reach = page.tab.locator(".npf-x .npf-reach").first.bounding_box()
    assert min(reach["width"], reach["height"]) >= 44
    set_mode(page.tab, "light")
    assert faults == []


@pytest.mark.parametrize("stage", ["train", "frozen"])
def test_a_move_takes_a_fraction_of_a_frame(page, stage):
    """Script, style and layout, in the page's own processor time: one frame at 60 a second is 16.7 ms."""
    page.set(stage=stage, step=100, again=10, shade="kernel")
    session, moves = page.tab.context.new_cdp_session(page.tab), 60
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * (found["ScriptDuration"] + found["RecalcStyleDuration"] + found["LayoutDuration"])

    before = spent()
    page.tab.evaluate(
        """moves => { const root = document.querySelector('.npf-explorer');
             for (let k = 0; k < moves; k++) {
               root.explorer.set({x: [Math.cos(k / 90), Math.sin(k / 70)], x2: [Math.sin(k / 50), 0.5]});
               root.getBoundingClientRect() } }""",
        moves,
    )
    took = (spent() - before) / moves
    session.detach()
    print(f"a move: {took:.2f} ms")
    assert took < 12


def test_a_unit_at_exactly_zero_is_closed(browser, tmp_path):
    """Whole-number weights, so that pre-activations of zero are exact in any order of summation."""
    arch = FullyConnected(3, 2, 2, 1, bias=False)
    points, labels = torch.tensor([[0.5, 0.25], [-0.5, 0.5]], dtype=torch.float64), torch.tensor([1.0, -1.0])
    data = explorer.export(explorer.Task(points, labels, points, labels), arch, (0,), ((0.5, 0.5), (0, 0)), {})
    network = explorer.begin("ReLU", arch, 0)
    whole = [[[1.0, -1.0], [0.0, 2.0]], [[1.0, 1.0], [-1.0, 1.0]], [[1.0, -2.0]]]
    with torch.no_grad():
        for own, weight in zip(network.weights, whole, strict=True):
            own.copy_(torch.tensor(weight))
    data["starts"][0]["ReLU"] = whole
    script, style = ((SOURCES / f"gate_explorer.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    shown = Shown(browser, tmp_path / "page.html", explorer.html(data, script, style))
    try:
        for x, x2 in (((0.5, 0.5), (0, 0)), ((0.5, 0), (0.25, 0.25)), ((-1, -1), (1, 1)), ((0, 0), (0, 0.5))):
            shown.set(x=x, x2=x2)
            agrees(shown, network, ())
        shown.set(x=(0.5, 0.5), x2=(0, 0))
        assert shown.state()["gates"][0] == [0, 1]
        assert shown.state()["gates2"] == [[0, 0], [0, 0]]
        assert shown.faults == []
    finally:
        shown.tab.close()


def test_without_javascript_a_picture_and_a_table_stand_there(page, browser, tmp_path):
    start, end = page.html.rindex("<script>"), page.html.rindex("</script>")
    shown = Shown(browser, tmp_path / "page.html", page.html[:start] + page.html[end + 9 :])
    try:
        picture = shown.tab.locator(".npf-explorer img")
        assert picture.evaluate("image => image.complete && image.naturalWidth > 300")
        assert "Three planes" in picture.get_attribute("alt")
        assert shown.tab.locator(".npf-explorer tbody tr").count() == 2
        assert "needs JavaScript" in shown.tab.locator(".npf-explorer").inner_text()
        shown.tab.set_viewport_size({"width": 390, "height": 844})
        assert shown.tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    finally:
        shown.tab.close()


def test_script_and_style_are_small_and_name_no_host():
    texts = [(SOURCES / f"gate_explorer.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")]
    assert sum(len(text.encode()) for text in texts) <= 56_000
    for text in texts:
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
