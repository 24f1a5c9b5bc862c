"""The built book: whole, self-contained, readable on a phone, and consistent with its ledger."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import book_extension
import build_book
import make_pdf
import nbformat
import pytest
import yaml
from accessibility import findings, set_mode
from bs4 import BeautifulSoup
from conftest import find_real_data

from companion.figures import style
from npflib import experiments

PROJECT = Path(__file__).resolve().parents[1]
# What a reader sees of a formula before it is typeset, outside code.
LOADED = re.compile(r'<script[^>]*\ssrc="([^"]+)')
RAW_FORMULA = re.compile(
    r"\\[()\[\]]|\$[^$\s][^$\n]*\$|\\(?:frac|sum|prod|langle|Lambda|Sigma|mathbb)\b|[_^]\{|\w\^[(\w]"
)
PHONE = {"width": 390, "height": 844}
MOST_MB = 30
MOST_MB_OF_A_PAGE = 2.5  # all that its first visit loads
MOST_SECONDS = 1


@pytest.fixture(scope="module")
def pages(smoke_book) -> dict[str, BeautifulSoup]:
    return {path.name: BeautifulSoup(path.read_text(), "html.parser") for path in sorted(smoke_book.glob("*.html"))}


def test_the_contents_and_the_notebooks_agree():
    toc = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    listed = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    prose = {path.stem for path in (PROJECT / "book").glob("*.md")}
    notebooks = {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")}
    assert "00_overview" in notebooks, "the book's first page is notebooks/00_overview.ipynb"
    assert listed == prose | (notebooks - {"00_overview"})


def test_chapters_are_numbered_in_reading_order():
    toc = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    numbered = [c["file"] for part in toc["parts"] for c in part["chapters"] if c["file"][:2].isdigit()]
    assert numbered == sorted(numbered)
    assert len({name[:2] for name in numbered}) == len(numbered)


def set_out(found) -> str:
    return "".join(f"<{n.tagname[:3]} {set_out(n.children)}>" if n.children else n.astext() for n in found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("E[K_value] = d σ^{2(d_J - 1)} H_J,", "E[K<sub value>] = d σ<sup 2(d<sub J> − 1)> H<sub J>,"),
        ("Π_{l=1}^{d-1} of Σ_j x_j² in s⁻⁴", "Π<sub l=1><sup d−1> of Σ<sub j> x<sub j>² in s⁻⁴"),
        ("2^-24, c^(2(d-1)) and q_f(l)", "2<sup −24>, c<sup 2(d−1)> and q<sub f>(l)"),
        (
            "a_{b never closes, train_loss, ^(x) and __all__",
            "a_{b never closes, train_loss, ^(x) and __all__",
        ),
    ],
)
def test_powers_and_indices_of_docstrings_are_set_as_such(text, shown):
    assert set_out(book_extension.typeset(text)) == shown


def test_the_bibliography_is_what_is_cited():
    """Sphinx tells of a missing entry too, after every chapter has been executed; of a spare one it does not."""
    known = set(re.findall(r"^@\w+\{([^,]+),", (PROJECT / "book" / "references.bib").read_text(), re.MULTILINE))
    pages = [*(PROJECT / "book").glob("*.md"), *(PROJECT / "notebooks").glob("*.ipynb")]
    cited = {
        (path.name, key.strip())
        for path in pages
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text())
        for key in keys.split(",")
    }
    assert {(name, key) for name, key in cited if key not in known} == set()
    assert known - {key for _, key in cited} == set(), "entries that no page cites"
    assert known


def planned(build: Path, *arguments: str, profile: str = "smoke") -> subprocess.CompletedProcess:
    """What the workflow would do for a build that does not exist yet."""
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--nolock"]
    command += ["--config", f"profile={profile}", *arguments]
    environment = os.environ | {"NPF_BUILD": str(build)}
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)


def trained_by(plan: subprocess.CompletedProcess) -> set[tuple[str, str]]:
    """The runs in a plan."""
    assert plan.returncode == 0, plan.stderr
    return set(re.findall(r"train: (\S+), (\S+), seeds 0,1", plan.stdout + plan.stderr))


def test_the_workflow_trains_the_runs_of_the_profile(tmp_path):
    assert trained_by(planned(tmp_path, "--", "runs")) == set(experiments.runs_of("smoke"))


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("mnist-alignment", {"mnist-alignment", "mnist-alignment-shuffled"}),
        ("mnist-fc-sgd,mnist-kernel", {"mnist-fc-sgd", "mnist-kernel-traces"}),
    ],
)
def test_the_workflow_trains_a_part_of_the_runs_where_only_a_part_is_asked_for(tmp_path, only, names):
    expected = {run for run in experiments.runs_of("smoke") if run[0] in names}
    assert {name for name, _ in expected} == names
    assert trained_by(planned(tmp_path, f"only={only}", "--", "runs")) == expected


@pytest.mark.parametrize("only", ["cifar10-vconv", "mnist-alignments"])
def test_a_part_that_the_profile_does_not_have_is_refused_with_what_there_is(tmp_path, only):
    """The paper's own convolutional networks belong to profile paper."""
    plan = planned(tmp_path, f"only={only}", "--", "runs")
    assert plan.returncode != 0
    assert f"only={only} names no experiment of profile smoke; there are: " in plan.stdout + plan.stderr
    assert "mnist-alignment-shuffled" in plan.stdout + plan.stderr


READ_BY = {
    "01": {"mnist-fc-adam-nobias"},
    "05": {"mnist-fc-sgd", "mnist-fc-adam"},
    "06": set(),
    "07": set(),
    "08": {"mnist-alignment", "mnist-alignment-shuffled"},
    "09": {"mnist-kernel-traces"},
    "02": set(),
    "13": set(),
    "15": {"mnist-fc-adam-linear-gates"},
}


@pytest.mark.parametrize("chapter", READ_BY)
def test_a_chapter_waits_for_its_own_runs_alone(tmp_path, chapter):
    (name,) = [path.stem for path in (PROJECT / "notebooks").glob(f"{chapter}_*.ipynb")]
    found = trained_by(planned(tmp_path, "--", f"{tmp_path}/notebooks/{name}.ipynb"))
    assert found == {run for run in experiments.runs_of("smoke") if run[0] in READ_BY[chapter]}


def test_every_chapter_is_a_page(pages):
    toc = yaml.safe_load((PROJECT / "book" / "_toc.yml").read_text())
    expected = {"index.html"} | {f"{c['file']}.html" for part in toc["parts"] for c in part["chapters"]}
    assert expected <= set(pages)


def test_internal_links_and_anchors_resolve(smoke_book, pages):
    anchors = {
        name: {tag["id"] for tag in page.find_all(id=True)}
        | {tag["name"] for tag in page.find_all("a", attrs={"name": True})}
        for name, page in pages.items()
    }
    broken = []
    for name, page in pages.items():
        for tag in page.find_all("a", href=True):
            url = urlsplit(tag["href"])
            if url.scheme or url.netloc or not (url.path or url.fragment):
                continue
            target = unquote(url.path) or name
            if not (smoke_book / target).exists():
                broken.append(f"{name}: {tag['href']} leads to no file")
            elif url.fragment and target in anchors and unquote(url.fragment) not in anchors[target]:
                broken.append(f"{name}: {tag['href']} leads to no anchor")
    assert broken == []


def test_pictures_are_there_and_described(smoke_book, pages):
    faults = []
    for name, page in pages.items():
        for tag in page.select(".bd-article img"):
            source, alt = tag.get("src", ""), tag.get("alt", "")
            if not source.startswith("data:") and not (smoke_book / unquote(source)).is_file():
                faults.append(f"{name}: {source} is missing")
            if len(alt.split()) < 4 or re.search(r"[0-9a-f]{16}|\.(png|svg|jpe?g)", alt):
                faults.append(f"{name}: {source} has the alternative text {alt!r}")
        empty = [figure for figure in page.select(".bd-article figure") if not figure.select_one("img, svg")]
        faults += [f"{name}: a caption, and a number, of no picture: {figure.get_text()[:60]!r}" for figure in empty]
    assert faults == []


def test_folded_code_stands_above_what_it_makes(pages):
    """A mark that unfolds code has an output under it, and none stands alone or above another mark."""
    bare = []
    for name, page in pages.items():
        for cell in page.select("article .cell:has(> details.hide)"):
            output = cell.select_one(".cell_output")
            if not (output and (output.get_text(strip=True) or output.select_one("img, svg"))):
                bare.append(f"{name}: {cell.select_one('pre').get_text()[:60]!r}")
    assert bare == []


def test_how_a_figure_was_made_is_behind_a_mark_at_its_caption():
    shown = {"image/svg+xml": '<svg><title>n = 3 · "made" &lt;b&gt;</title></svg>'}
    figure = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", shown)])
    figure.metadata.mystnb = nbformat.from_dict({"figure": {"caption": "What is seen."}})
    build_book.tag_cells(nbformat.v4.new_notebook(cells=[figure]))
    caption, mark = figure.metadata.mystnb.figure.caption.split("\n\n")
    assert caption == "What is seen."
    assert BeautifulSoup(mark, "html.parser").select_one("summary")["title"] == 'n = 3 · "made" <b>'
    assert BeautifulSoup(mark, "html.parser").select_one("details").get_text() == 'in = 3 · "made" <b>'


def test_the_site_is_small_and_holds_nothing_that_no_page_loads(smoke_book):
    files = [path for path in smoke_book.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    assert size <= MOST_MB
    assert [path.name for path in files if path.suffix == ".map"] == []
    named = {urlsplit(tag).path for page in smoke_book.glob("*.html") for tag in LOADED.findall(page.read_text())}
    bundles = {f"_static/mathjax/{path.name}" for path in (smoke_book / "_static" / "mathjax").glob("*.js")}
    assert bundles - {"_static/mathjax/core.js"} <= named, "the core is loaded by what the pages name"


def test_figures_are_all_of_one_width(smoke_book, pages):
    """Then one size of type holds in all: see companion/figures/style.py."""
    widths = {}
    for tag in (tag for page in pages.values() for tag in page.select(".bd-article figure img[src$='.svg']")):
        width = re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', (smoke_book / unquote(tag["src"])).read_text())
        if width:  # matplotlib's
            widths[tag["src"]] = float(width[1])
    assert widths
    assert {src: width for src, width in widths.items() if abs(width - 72 * style.WIDTH) > 0.5} == {}


def test_no_page_names_another_host_for_what_it_loads(pages):
    loading = [("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")]
    outside = [
        (name, tag[attribute])
        for name, page in pages.items()
        for kind, attribute in loading
        for tag in page.find_all(kind, attrs={attribute: True})
        if urlsplit(tag[attribute]).netloc and tag.get("rel") != ["canonical"]
    ]
    assert outside == []


def test_injected_parameters_are_not_shown(pages):
    assert [name for name, page in pages.items() if page.select(".tag_injected-parameters")] == []


def test_no_paths_of_this_machine(smoke_book, pages):
    """A page that shows where it was built cannot be the same on two machines."""
    shown = {name for name, page in pages.items() if str(PROJECT) in page.get_text()}
    assert shown == set()


def test_ledger_is_valid_and_no_verdict_contradicts_its_standing(smoke_book):
    ledger = json.loads((smoke_book.parent / "claims.json").read_text())
    assert isinstance(ledger, list)
    assert ledger
    assert len({claim["id"] for claim in ledger}) == len(ledger)
    fields = {"id", "sentence", "source", "kind", "measured", "level", "expected", "tolerance", "verdict", "standing"}
    fields |= {"profile", "seeds", "data"}
    published = json.loads((PROJECT / "results" / "standings.json").read_text())
    assert set(published) <= {claim["id"] for claim in ledger}, "a standing of a claim that no chapter makes"
    for claim in ledger:
        assert fields <= set(claim)
        assert claim["verdict"] in ("holds", "refuted", "undecided")
        assert claim["kind"] in ("identity", "reported", "predicted", "seen after")
        assert claim["level"] in (0.9, None), "one column, one level"
        assert claim["standing"] == published.get(claim["id"], "open"), claim["id"]
        assert {claim["verdict"], claim["standing"]} != {"holds", "refuted"}, claim["sentence"]


def test_a_second_build_executes_nothing(smoke_book):
    made = {path: path.stat().st_mtime_ns for path in smoke_book.parent.rglob("*.html")}
    command = [sys.executable, "scripts/make_book.py", "--profile", "smoke"]
    data = find_real_data()
    environment = os.environ | ({"NPF_DATA": str(data)} if data else {})
    before = os.times()
    again = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    after = os.times()
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in smoke_book.parent.rglob("*.html")} == made
    # Processor time, which does not depend on what else the machine does.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 15


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_the_gate_explorer_starts_within_the_first_screen(smoke_book, browser, size):
    """Its controls and the upper half of its plane; and the keyboard is there after two Tabs and Enter."""
    tab = browser.new_page()
    try:
        tab.set_viewport_size(size)
        tab.goto((smoke_book / "gate_explorer.html").as_uri())
        box = tab.locator(".npf-frame").first.bounding_box()
        assert box["y"] + 0.5 * box["height"] < size["height"]
        for key in ("Tab", "Tab", "Enter"):
            tab.keyboard.press(key)
        assert tab.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Point x"
    finally:
        tab.close()


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_the_first_screen_has_the_finding_its_figure_the_explorer_and_three_ways_in(smoke_book, browser, size):
    tab = browser.new_page()
    try:
        tab.set_viewport_size(size)
        tab.goto((smoke_book / "index.html").as_uri(), wait_until="load")
        shown = "article strong", ".npf-button >> nth=2", "a.npf-picture img", "figure img"
        ends = {part: tab.locator(part).first.bounding_box() for part in shown}
        assert {part: box for part, box in ends.items() if box["y"] + box["height"] > size["height"]} == {}
        # Matplotlib draws type as outlines of 100 units a point size.
        drawn = (smoke_book / unquote(tab.locator("figure img").first.get_attribute("src"))).read_text()
        points = 100 * min(map(float, re.findall(r"scale\(([\d.]+) -", drawn)))
        width = float(re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', drawn)[1])
        assert ends["figure img"]["width"] >= style.PHONE
        assert points * ends["figure img"]["width"] / width >= (9.8 if size is PHONE else 11)
        links = tab.locator("a.npf-button").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        assert links == ["gate_explorer.html", "01_gates_and_paths.html", "rerun.html"]
    finally:
        tab.close()


def test_the_ledger_is_filtered_and_sorted_in_the_page(smoke_book, browser):
    tab = browser.new_page()
    try:
        tab.goto((smoke_book / "99_scoreboard.html").as_uri(), wait_until="load")
        rows, choices = tab.locator("table.npf-sortable tbody tr"), tab.locator(".npf-filters select")
        every = rows.count()
        assert tab.locator(".npf-filters output").text_content() == f"{every} of {every} claims"
        kinds = rows.evaluate_all("all => all.map(row => row.dataset.kind)")
        choices.nth(1).select_option("predicted")
        seen = rows.evaluate_all("all => all.filter(row => !row.hidden).map(row => row.dataset.kind)")
        assert seen == ["predicted"] * kinds.count("predicted")
        assert tab.locator(".npf-filters output").text_content() == f"{len(seen)} of {every} claims"
        choices.nth(1).select_option("")
        choices.last.select_option("kind")
        sorted_kinds = rows.evaluate_all("all => all.map(row => row.dataset.kind)")
        assert sorted_kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)
        choices.last.select_option("")
        assert rows.evaluate_all("all => all.map(row => row.dataset.kind)") == kinds
    finally:
        tab.close()


@pytest.mark.parametrize(("asked", "first"), [("kernel", False), ("gates", False), ("neural_path_kernel", True)])
def test_the_search_finds_chapters_before_functions_but_a_whole_name(smoke_book, browser, asked, first):
    tab = browser.new_page()
    try:
        tab.goto((smoke_book / "search.html").as_uri() + f"?q={asked}", wait_until="load")
        tab.wait_for_function(
            "() => /[0-9]/.test(document.querySelector('#search-results .search-summary').textContent)"
        )
        found = tab.locator("#search-results ul.search > li > a").evaluate_all("all => all.map(a => a.href)")
        functions = [k for k, link in enumerate(found) if "/api_" in link and "#npflib." in link]
        chapters = [k for k, link in enumerate(found) if re.search(r"/\d\d_\w+\.html", link)]
        assert (functions[0] < chapters[0]) == first
        assert asked != "kernel" or max(chapters) < min(functions)  # no function is called so
    finally:
        tab.close()


@pytest.mark.parametrize("part", range(4))
def test_every_page_in_a_browser(smoke_book, pages, browser, part):
    """Opened from the disk, light and dark: no request elsewhere, no error, formulas typeset, nothing wider than a
    phone, every picture shown, and no finding of axe-core."""
    faults = []
    for name, page in list(pages.items())[part::4]:  # in parts, which processes can share
        faults += [f"{name}: {fault}" for fault in faults_in_browser(browser, smoke_book / name, page)]
    assert faults == []


def faults_in_browser(browser, path: Path, page: BeautifulSoup) -> list[str]:
    """What is wrong with one page as Chromium shows it."""
    faults, loaded = [], set()
    tab = browser.new_page()
    tab.on("request", lambda r: r.url.startswith("file:") and loaded.add(unquote(urlsplit(r.url).path)))
    tab.on("console", lambda m: m.type in ("error", "warning") and faults.append(f"console {m.type}: {m.text}"))
    tab.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    tab.on("requestfailed", lambda request: faults.append(f"not loaded: {request.url}"))
    tab.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or faults.append(f"asks {r.url}"))
    try:
        tab.goto(path.as_uri(), wait_until="load")
        tab.evaluate("async () => { if (window.MathJax?.startup?.promise) await MathJax.startup.promise }")
        tab.evaluate("() => document.fonts.ready.then(() => true)")
        tab.wait_for_selector("html.fontawesome-i2svg-complete", state="attached")  # drawn in a later frame than load's
        weight = sum(Path(file).stat().st_size for file in loaded if Path(file).is_file()) / 1e6
        if weight > MOST_MB_OF_A_PAGE:
            faults.append(f"weighs {weight:.1f} MB")
        if undrawn := tab.locator(".bd-header-article i[class*='fa-']").count():
            faults.append(f"{undrawn} icons of its header are not drawn")
        formulas = len(page.select(".math"))
        typeset = tab.locator("mjx-container").count()
        if typeset < formulas:
            faults.append(f"{typeset} of {formulas} formulas are typeset")
        # An error of MathJax, or a command that it does not know, which it sets in red.
        wrong = tab.locator("mjx-merror, [data-mjx-error], mjx-container [style*='color: red']")
        if wrong.count():
            formula = wrong.first.evaluate("e => e.closest('.math')?.textContent ?? e.outerHTML.slice(0, 200)")
            faults.append(f"a formula has an error: {formula}")
        text = tab.evaluate(
            """() => { const copy = document.querySelector('.bd-article, main, body').cloneNode(true);
                 copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
                 return copy.textContent }"""
        )
        if raw := RAW_FORMULA.search(text):
            faults.append(f"a formula was left as text: {text[max(0, raw.start() - 20) : raw.end() + 20]!r}")
        unseen = tab.evaluate(
            "() => [...document.images].filter(i => i.complete && !i.naturalWidth && i.src).map(i => i.src)"
        )
        faults += [f"picture does not show: {source}" for source in unseen]
        cut = tab.evaluate(
            """() => [...document.querySelectorAll('.bd-article mjx-container[display="true"]')]
                 .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60))"""
        )
        faults += [f"a formula is wider than its column on a wide screen: {formula}" for formula in cut]
        cut = tab.evaluate(
            """() => [...document.querySelectorAll('.bd-article :is(.table-scroll, .pst-scrollable-table-container)')]
                 .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim().slice(0, 60))"""
        )
        faults += [f"a table is wider than its column and the margin: {table}" for table in cut]
        set_mode(tab, "light")
        faults += [f"light: {finding}" for finding in findings(tab)]
        set_mode(tab, "dark")  # what differs between the modes is colour alone
        faults += [f"dark: {finding}" for finding in findings(tab, rules=("color-contrast",))]
        tab.set_viewport_size(PHONE)
        tab.wait_for_timeout(50)
        width = tab.evaluate("() => document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            widest = tab.evaluate(
                """width => [...document.querySelectorAll('main *')]
                     .filter(e => e.getBoundingClientRect().right > width + 1)
                     .map(e => `<${e.tagName.toLowerCase()}> ${e.textContent.trim().slice(0, 60)}`).slice(-1)[0]""",
                PHONE["width"],
            )
            faults.append(f"is {width} pixels wide on a screen of {PHONE['width']}: {widest}")
        cut = tab.evaluate(
            """width => [...document.querySelectorAll('.bd-article :is(p, li) mjx-container:not([display])')]
                 .filter(e => !e.closest('table') && e.firstElementChild.getBoundingClientRect().right > width)
                 .map(e => e.closest('.math').textContent.slice(0, 60))""",
            PHONE["width"] - 8,
        )
        faults += [f"a formula in a line is wider than a phone: {formula}" for formula in cut]
        tab.emulate_media(media="print")
        millimetres = 190 if path.stem.endswith("_scoreboard") else 178  # A4 without the margins of the style's @page
        tab.set_viewport_size({"width": int(millimetres / 25.4 * 96), "height": 900})
        tab.wait_for_timeout(50)
        cut = tab.evaluate(
            """() => [...document.querySelectorAll('.bd-article :is(p, li, dt, th, td, pre, img, svg, mjx-container)')]
                 .filter(e => e.checkVisibility() && !e.closest('mjx-assistive-mml')
                              && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
                 .map(e => `<${e.tagName.toLowerCase()}> ${e.textContent.trim().slice(0, 60)}`)"""
        )
        faults += [f"is cut on paper: {element}" for element in cut[:3]]
    finally:
        tab.close()
    return faults


def test_a_page_is_dark_where_the_readers_system_is(smoke_book, browser):
    tab = browser.new_page()
    try:
        for scheme in ("dark", "light"):
            tab.emulate_media(color_scheme=scheme)
            tab.goto((smoke_book / "index.html").as_uri(), wait_until="load")
            tab.evaluate("() => localStorage.clear()")  # a choice made on another page, for all of the disk's pages
            tab.reload(wait_until="load")
            assert tab.evaluate("() => document.documentElement.dataset.theme") == scheme
    finally:
        tab.close()


def test_a_page_is_printed_with_an_outline_and_tags(smoke_book, tmp_path):
    if not (program := make_pdf.find_browser()):
        pytest.skip("no Chromium on the PATH")
    make_pdf.print_page(program, smoke_book / "glossary.html", tmp_path / "page.pdf")
    printed = (tmp_path / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in printed
    assert b"/Outlines" in printed
    assert list(tmp_path.iterdir()) == [tmp_path / "page.pdf"]


def test_the_scoreboard_is_printed_on_few_pages(smoke_book, tmp_path):
    if not (program := make_pdf.find_browser()):
        pytest.skip("no Chromium on the PATH")
    make_pdf.print_page(program, smoke_book / "99_scoreboard.html", tmp_path / "page.pdf")
    assert 1 <= len(re.findall(rb"/Type /Page\b", (tmp_path / "page.pdf").read_bytes())) <= 8


def test_verdicts_are_printed_on_their_dark_ground(smoke_book, browser):
    tab = browser.new_page()
    try:
        tab.goto((smoke_book / "99_scoreboard.html").as_uri(), wait_until="load")
        tab.emulate_media(media="print")
        kept = tab.locator("td span[style*=background]").evaluate_all("all => all.map(e => getComputedStyle(e))")
        assert {style["printColorAdjust"] for style in kept} == {"exact"}
    finally:
        tab.close()


def test_a_book_that_is_not_there_is_not_printed(tmp_path):
    command = [sys.executable, str(PROJECT / "scripts" / "make_pdf.py"), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert "has no book: `make book` builds it" in run.stderr


def test_downloads_are_the_notebooks_themselves(smoke_book, pages):
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        name = "index" if path.stem == "00_overview" else path.stem
        [link] = {a["href"] for a in pages[f"{name}.html"].select("a.btn-download-source-button")}
        assert (smoke_book / link).read_bytes() == path.read_bytes()


def test_what_was_executed_is_on_the_status_page(smoke_book, pages):
    rows = pages["status.html"].select("main table tbody tr")
    shown = {row.select_one("a")["href"]: [cell.get_text(strip=True) for cell in row.select("td")] for row in rows}
    assert len(shown) == len(list((PROJECT / "notebooks").glob("*.ipynb")))
    executed = json.loads((smoke_book.parent / "notebooks" / "04_fixed_gates.ipynb").read_text())
    run = executed["metadata"]["papermill"]
    began, seconds = run["start_time"][:16].replace("T", " "), f"{run['duration']:.0f}"
    assert shown["04_fixed_gates.html"][1:] == ["smoke", began, seconds]


def test_what_is_folded_is_printed_open_and_folded_again(smoke_book, browser):
    """The symbols of a page; code stays folded, and the style sheet leaves it out."""
    closed = "() => document.querySelectorAll('.bd-article details:not(.hide):not([open])').length"
    code = "() => document.querySelectorAll('.bd-article details.hide:not([open])').length"
    tab = browser.new_page()
    try:
        tab.goto((smoke_book / "02_neural_path_kernel.html").as_uri(), wait_until="load")
        folded, cells = tab.evaluate(closed), tab.evaluate(code)
        assert folded > 0
        assert cells > 0
        tab.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        assert tab.evaluate(closed) == 0
        assert tab.evaluate(code) == cells
        tab.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert tab.evaluate(closed) == folded
    finally:
        tab.close()


def test_the_landing_page_is_ready_soon(smoke_book, browser):
    """From the disk, until all is loaded and every formula set, in seconds of the page's own work: what else the
    machine does meanwhile does not count."""
    seconds = []
    for _ in range(3):
        tab = browser.new_page()
        try:
            tools = browser.new_cdp_session(tab)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto((smoke_book / "index.html").as_uri(), wait_until="load")
            tab.evaluate("async () => { await MathJax.startup.promise }")
            measured = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
            seconds.append(measured["TaskDuration"])
        finally:
            tab.close()
    assert min(seconds) > 0.01, "the work was measured"
    assert min(seconds) <= MOST_SECONDS, seconds
