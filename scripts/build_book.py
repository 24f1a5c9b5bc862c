"""Assemble the book's sources from prose and executed notebooks, and build its pages with Jupyter Book.

<build>/book/ receives a copy of book/ and of every executed notebook; the overview becomes `index`, so that it is the
page at the root. The pages are built elsewhere in the build folder and replace <build>/html/ only when they are whole
and without a warning.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import launch_buttons
import nbformat
import yaml
from link_notation import link_symbols, link_terms, symbols_of, terms_of

ROOT_PAGE = "00_overview"
LOADED = re.compile(r'<script[^>]*\ssrc="([^"?#]+)')


def assemble(book: Path, executed: Path, names: list[str], target: Path) -> None:
    """Fill `target` with the sources of the book: those of `book` and the notebooks `names` of `executed`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(book, target)
    symbols, terms = symbols_of((target / "notation.md").read_text()), terms_of((target / "glossary.md").read_text())
    for name in names:
        page = nbformat.read(executed / f"{name}.ipynb", as_version=4)
        tag_cells(page)
        for cell in page.cells:
            if cell.cell_type == "markdown":  # links to the overview follow it to its new name
                cell.source = cell.source.replace(f"({ROOT_PAGE}.ipynb", "(index.ipynb")
        if name != ROOT_PAGE:  # the first page stays free of apparatus
            link_terms(page, terms)
            link_symbols(name, page, symbols)
        nbformat.write(page, target / f"{'index' if name == ROOT_PAGE else name}.ipynb")
    if ROOT_PAGE not in names:
        raise SystemExit(f"notebooks/{ROOT_PAGE}.ipynb is missing: it is the book's first page")
    toc = yaml.safe_load((target / "_toc.yml").read_text())
    for part in toc["parts"]:
        part["chapters"] = [chapter for chapter in part["chapters"] if any(target.glob(f"{chapter['file']}.*"))]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    (target / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))
    if repository := os.environ.get(launch_buttons.VARIABLE, "").strip():
        configuration = yaml.safe_load((target / "_config.yml").read_text())
        switched = launch_buttons.switch_on(configuration, repository)
        (target / "_config.yml").write_text(yaml.safe_dump(switched, sort_keys=False))


def tag_cells(page: nbformat.NotebookNode) -> None:
    """Take what papermill injected off the page; the notebook's own set-up cells are tagged `remove-cell` there."""
    for cell in page.cells:
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:
            tags.append("remove-cell")


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


# What MathJax's bundle for TeX and HTML fetches on its own: further TeX commands, and its fonts.
MATHJAX_LOADS = ("input/tex/extensions", "output/chtml")


def prune(pages: Path) -> int:
    """Remove what no page loads, by rule, from the folder `pages`; the bytes removed.

    Those are source maps, the theme's translations (only Python reads them), and of MathJax every file that is neither
    named by a page nor fetched by the bundle that the pages name.
    """
    static = pages / "_static"
    named = {Path(found) for page in pages.glob("*.html") for found in LOADED.findall(page.read_text(encoding="utf-8"))}
    mathjax = static / "mathjax"
    kept = {pages / name for name in named} | {
        file for folder in MATHJAX_LOADS for file in (mathjax / folder).rglob("*") if file.is_file()
    }
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
    print(f"{prune(pages) / 1e6:.0f} MB that no page loads removed")
    launch_buttons.mend_root(pages, ROOT_PAGE)
    replace(pages, options.build / "html")
    shutil.rmtree(workshop, ignore_errors=True)


if __name__ == "__main__":
    main()
