"""The whole book as one PDF, with an outline and tags, beside its pages: <build>/html/companion.pdf (`make pdf`).

Jupyter Book writes the sources of the last build as one page, and Chromium prints it with the book's own print style.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox: as root Chromium has none. What it would fetch or report on its own is off.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAME = "companion.pdf"
MINUTE = 60_000  # milliseconds


def find_browser() -> str | None:
    """The first Chromium on the PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def one_page(sources: Path, folder: Path) -> Path:
    """The book in `sources` as a single page in `folder`."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(sources)]
    command += ["--path-output", str(folder), "--builder", "custom", "--custom-builder", "singlehtml", "--all"]
    extensions = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": extensions}
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit("the book could not be written as one page")
    return folder / "_build" / "singlehtml" / "index.html"


def print_page(browser: str, page: Path, target: Path) -> None:
    """Print a page to `target`, which appears when it is whole."""
    from playwright.sync_api import sync_playwright

    part = target.with_name(target.name + ".part")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, headless=True, args=ARGUMENTS, color_scheme="light"
        )
        tab = context.new_page()
        tab.goto(page.as_uri(), timeout=5 * MINUTE)
        tab.evaluate("() => window.MathJax?.startup?.promise.then(() => true)")
        context.set_default_timeout(10 * MINUTE)
        tab.pdf(path=part, prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
        context.close()
    part.replace(target)


def main() -> None:
    """Command line: see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=Path, help="the build folder, with book/ and html/ in it")
    build = parser.parse_args().build
    index = build / "html" / "index.html"
    if not index.is_file():
        raise SystemExit(f"{build} has no book: `make book` builds it, then `make pdf` prints it")
    if not (browser := find_browser()):
        raise SystemExit(f"a Chromium prints the book, and none is on the PATH ({', '.join(BROWSERS)}): install one")
    with tempfile.TemporaryDirectory() as folder:
        print_page(browser, one_page(build / "book", Path(folder)), index.with_name(NAME))
    # The pages link it once it is there.
    for page in index.parent.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace('<span class="npf-pdf" hidden>', '<span class="npf-pdf">'), encoding="utf-8")
    print(f"{index.with_name(NAME)}: {index.with_name(NAME).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
