"""Assemble the book's sources from prose and executed notebooks, and build its pages with Jupyter Book.

<build>/book/ receives a copy of book/ and of every executed notebook; the overview becomes `index`, so that it is the
page at the root. The pages are built elsewhere in the build folder and replace <build>/html/ only when they are whole
and without a warning.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import launch_buttons
import library_pages
import nbformat
import yaml
from fontTools.subset import Options, Subsetter, load_font, save_font
from link_notation import link_symbols, link_terms, symbols_of, terms_of

PROJECT = Path(__file__).resolve().parents[1]
ROOT_PAGE = "00_overview"
MADE_WITH = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib", "papermill", "jupyter-book", "snakemake")
LOADED = re.compile(r'<script[^>]*\ssrc="([^"?#]+)')
# A rule of the theme's style sheet for some icons, and an entry of its script of icons: name, size, other names, code
# point, outline.
ICON_RULE = re.compile(r"(?:\.fa-[\w-]+(?:::?before)?,?)+\{(?:--fa|content):[^{}]*\}")
ICON = re.compile(r'"?([\w-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?')


def assemble(book: Path, executed: Path, names: list[str], target: Path) -> None:
    """Fill `target` with the sources of the book: those of `book` and the notebooks `names` of `executed`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(book, target)
    reference = library_pages.write(target)
    symbols, terms = symbols_of((target / "notation.md").read_text()), terms_of((target / "glossary.md").read_text())
    read = {name: nbformat.read(executed / f"{name}.ipynb", as_version=4) for name in names}
    status = target / "status.md"
    status.write_text(status.read_text().replace("<!-- executions -->", executions(read)))
    for name, page in read.items():
        tag_cells(page)
        number(name, page)
        for cell in page.cells:
            if cell.cell_type == "markdown":  # links to the overview follow it to its new name
                cell.source = cell.source.replace(f"({ROOT_PAGE}.ipynb", "(index.ipynb")
        if name != ROOT_PAGE:  # the first page stays free of apparatus
            link_terms(page, terms)
            if not name.endswith("_scoreboard"):  # whose symbols are the chapters'
                link_symbols(name, page, symbols)
        nbformat.write(page, target / f"{'index' if name == ROOT_PAGE else name}.ipynb")
    if ROOT_PAGE not in names:
        raise SystemExit(f"notebooks/{ROOT_PAGE}.ipynb is missing: it is the book's first page")
    toc = yaml.safe_load((target / "_toc.yml").read_text())
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            if chapter["file"] == "api":
                chapter["sections"] = [{"file": page} for page in reference]
        part["chapters"] = [chapter for chapter in part["chapters"] if any(target.glob(f"{chapter['file']}.*"))]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    (target / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    if repository := os.environ.get(launch_buttons.VARIABLE, "").strip():
        configuration = yaml.safe_load((target / "_config.yml").read_text())
        switched = launch_buttons.switch_on(configuration, repository)
        (target / "_config.yml").write_text(yaml.safe_dump(switched, sort_keys=False))


def executions(pages: dict[str, nbformat.NotebookNode]) -> str:
    """A table of what was executed: page, profile, when, for how long; above it, on what."""
    lines = ["| page | profile | began (UTC) | seconds |", "|---|---|---|---|"]
    for name, page in pages.items():
        run = page.metadata.get("papermill", {})
        began, profile = (
            str(run.get("start_time") or "")[:16].replace("T", " "),
            run.get("parameters", {}).get("profile"),
        )
        took = f"{run['duration']:.0f}" if run.get("duration") else ""
        lines.append(f"| [](<{'index' if name == ROOT_PAGE else name}.ipynb>) | {profile or ''} | {began} | {took} |")
    versions = ", ".join(f"{name} {version(name)}" for name in MADE_WITH)
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors, one thread a notebook"
    return f"{machine}; Python {platform.python_version()}, {versions}.\n\n" + "\n".join(lines)


def number(name: str, page: nbformat.NotebookNode) -> None:
    """A chapter's title has the number that its notebook's name begins with; the scoreboard is no chapter."""
    if re.match(r"0[1-9]|[1-8]\d", name):
        first = next(cell for cell in page.cells if cell.cell_type == "markdown")
        first.source = first.source.replace("# ", f"# {int(name[:2])}. ", 1)


def tag_cells(page: nbformat.NotebookNode) -> None:
    """Take what papermill injected off the page; the notebook's own set-up cells are tagged `remove-cell` there. A
    figure's provenance, the title of its SVG, is folded into a mark at its caption."""
    for cell in page.cells:
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:
            tags.append("remove-cell")
        for output in cell.get("outputs", []):
            if title := re.search("<title>(.*?)</title>", output.get("data", {}).get("image/svg+xml", ""), re.DOTALL):
                said = title[1].replace('"', "&quot;")
                mark = f'<summary title="{said}" aria-label="How this figure was made">i</summary>'
                cell.metadata.mystnb.figure.caption += f'\n\n<details class="npf-made">{mark}{said}</details>'


def build(sources: Path, workshop: Path) -> Path:
    """Build `sources` in `workshop` with every warning an error; the folder of pages."""
    shutil.rmtree(workshop, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(sources)]
    command += ["--path-output", str(workshop), "--all", "-W", "-n", "--keep-going"]
    extensions = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "MPLBACKEND": "agg", "PYTHONPATH": extensions}
    if subprocess.run(command, env=environment).returncode:
        raise SystemExit("the book was not built; the previous one, if any, is untouched")
    return workshop / "_build" / "html"


# What MathJax fetches on its own: the parts that `mathjax3_config` names, further TeX commands, and its fonts.
MATHJAX_LOADS = ("core.js", "input/tex.js", "input/tex/extensions/*", "output/chtml.js", "output/chtml/**/*")
MATHJAX_LOADS += ("a11y/assistive-mml.js",)  # formulas as MathML, which screen readers read


def prune(pages: Path) -> int:
    """Remove what no page loads, by rule, from the folder `pages`; the bytes removed.

    Those are source maps, the theme's translations (only Python reads them), and of MathJax every file that is neither
    named by a page nor fetched by what the pages name.
    """
    static = pages / "_static"
    named = {Path(found) for page in pages.glob("*.html") for found in LOADED.findall(page.read_text(encoding="utf-8"))}
    mathjax = static / "mathjax"
    kept = {pages / name for name in named} | {file for rule in MATHJAX_LOADS for file in mathjax.glob(rule)}
    useless = [*static.rglob("*.map"), *(static / "locales").rglob("*")]
    # Were the formulas loaded from elsewhere, nothing would be known of what they need.
    if any(file.is_relative_to(mathjax) for file in kept & set(mathjax.glob("*.js"))):
        useless += [file for file in mathjax.rglob("*") if file not in kept]
    removed = 0
    for file in useless:
        if file.is_file():
            removed += file.stat().st_size
            file.unlink()
    for folder in sorted((f for f in static.rglob("*") if f.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return removed


def keep_icons_used(pages: Path) -> int:
    """Leave of the theme's icons those that a page, a script or the style sheet draws; the bytes removed.

    They come thrice: as outlines in a script, as rules of the style sheet and as a font, for what the rules draw.
    """
    static = pages / "_static"
    script, sheet = static / "scripts" / "fontawesome.js", static / "styles" / "pydata-sphinx-theme.css"
    font = static / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.woff2"
    before = sum(file.stat().st_size for file in (script, sheet, font))
    others = [*pages.glob("*.html"), *(path for path in pages.glob("_static/**/*.js") if path != script)]
    used = {name for path in others for name in re.findall(r"\bfa-([a-z0-9-]+)", path.read_text(encoding="utf-8"))}

    def kept(icon: re.Match) -> str:
        return icon[0] if used & {icon[1], *re.findall(r'"([\w-]+)"', icon[2])} else ""

    def ruled(rule: re.Match) -> str:
        return rule[0] if used & set(re.findall(r"\.fa-([\w-]+)", rule[0])) else ""

    script.write_text(ICON.sub(kept, script.read_text(encoding="utf-8")), encoding="utf-8")
    rules = ICON_RULE.sub(ruled, sheet.read_text(encoding="utf-8"))
    codes = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", rules)} | set(map(ord, rules))
    options = Options(flavor="woff")  # woff2 needs a compressor that Python does not have
    glyphs = load_font(font.with_suffix(".ttf"), options)
    smaller = Subsetter(options)
    smaller.populate(unicodes=codes)
    smaller.subset(glyphs)
    save_font(glyphs, font.with_suffix(".woff"), options)
    font.unlink()
    sheet.write_text(re.sub(r'(fa-solid-900)\.woff2(["\')]*) format\("woff2"\)', r'\1.woff\2 format("woff")', rules))
    return before - sum(file.stat().st_size for file in (script, sheet, font.with_suffix(".woff")))


SEARCHING = re.compile(r'<script src="(?:_static/searchtools|_static/language_data|searchindex)\.js[^>]*></script>\s*')


def mend(pages: Path) -> None:
    """What the theme's own pages do badly: they are dark where the reader's system is only once all is loaded, and not
    without scripts; and every page loads the index of the search, whose results only one page shows.
    """
    system = 'matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"'
    for page in pages.glob("*.html"):
        text = page.read_text(encoding="utf-8").replace(' data-theme="auto"', ' data-theme="light"', 1)
        text = text if page.name == "search.html" else SEARCHING.sub("", text)
        stored = 'localStorage.getItem("theme") || '
        page.write_text(text.replace(f'{stored}"auto"', f"{stored}({system})", 1), encoding="utf-8")


def offer(notebooks: Path, names: list[str], pages: Path) -> None:
    """Let each page's Download button give its notebook as it is in `notebooks`, without what the build adds to it."""
    for name in names:
        page = "index" if name == ROOT_PAGE else name
        shutil.copyfile(notebooks / f"{name}.ipynb", pages / "_sources" / f"{page}.ipynb")


def replace(new: Path, old: Path) -> None:
    """Put the folder `new` in the place of `old`."""
    outgoing = old.with_name(old.name + ".old")
    shutil.rmtree(outgoing, ignore_errors=True)
    if old.exists():
        old.rename(outgoing)
    new.rename(old)
    shutil.rmtree(outgoing, ignore_errors=True)


def main() -> None:
    """Command line: see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--book", type=Path, required=True, help="the prose, configuration and style")
    parser.add_argument("--notebooks", type=Path, required=True, help="the folder of executed notebooks")
    parser.add_argument("--names", nargs="*", default=[], help="which of them, without .ipynb")
    parser.add_argument("--build", type=Path, required=True, help="the build folder")
    options = parser.parse_args()
    sources, workshop = options.build / "book", options.build / "book.part"
    assemble(options.book, options.notebooks, options.names, sources)
    pages = build(sources, workshop)
    offer(PROJECT / "notebooks", options.names, pages)
    mend(pages)
    print(f"{(prune(pages) + keep_icons_used(pages)) / 1e6:.0f} MB that no page needs removed")
    launch_buttons.mend_root(pages, ROOT_PAGE)
    replace(pages, options.build / "html")
    shutil.rmtree(workshop, ignore_errors=True)


if __name__ == "__main__":
    main()
