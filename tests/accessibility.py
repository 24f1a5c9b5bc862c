"""axe-core on a page of the book as Chromium shows it, and what of its findings is not this book's to mend."""

from pathlib import Path

import axe_playwright_python

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"

# rule → {start of the selector: reason}. Whatever else axe reports is a fault of our own.
KNOWN = {
    "region": {".sidebar-primary-items__start": "the theme puts the book's name beside its navigation, in no landmark"},
    "definition-list": dict.fromkeys(("#npflib", "#companion"), "Sphinx sets a long signature as a list without terms"),
    "aria-allowed-role": {"#id": "docutils' role for an entry of the bibliography"},
    "aria-deprecated-role": {"#id": "docutils' role for an entry of the bibliography"},
    "aria-required-children": {".citation-list": "docutils' list of the bibliography's entries"},
}

# The others become bare text, which takes the same space. companion.js marks what scrolls a moment after loading.
ONE_OF_EACH_KIND = """async () => {
  await new Promise(done => setTimeout(done, 300));
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight pre span[class]')) {
    const cell = word.closest('[class*="cell_"], .output, .bd-article > *')?.className;
    const kind = [word.className, word.parentElement.className, cell].join('|');
    if (seen.has(kind)) word.replaceWith(...word.childNodes);
    seen.add(kind);
  }
}"""


def set_mode(tab, mode: str) -> None:
    """Sets the theme to "light" or "dark", as its own button does; at once, so that no colour is seen on its way."""
    tab.add_style_tag(content="*, *::before, *::after { transition: none !important; }")
    tab.evaluate(
        """mode => { localStorage.setItem('mode', mode); localStorage.setItem('theme', mode);
             document.documentElement.dataset.mode = mode; document.documentElement.dataset.theme = mode }""",
        mode,
    )


def findings(tab, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds on the page in its present mode, one sentence an element.

    In code, of the words of one kind (a class of the highlighter, in one kind of cell) one is checked: they share their
    colours, and are most of a page's elements. axe does not preload style sheets: a page opened from the disk may not
    make its requests. The glyphs of typeset formulas are left out: they are hidden from screen readers, which get
    MathML instead. A table heading that is a formula counts as text, which axe does not know.

    Args:
        tab: the page.
        rules: run these alone; empty runs all.
    """
    if not tab.evaluate("() => !!window.axe"):
        tab.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
        tab.evaluate(ONE_OF_EACH_KIND)
    found = tab.evaluate(
        """async rules => {
             const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};
             const options = {resultTypes: ['violations'], preload: false, ...only};
             const result = await axe.run({exclude: [['mjx-math']]}, options);
             return result.violations.flatMap(v => v.nodes.map(n => {
               const target = n.target.flat().join(' ');
               const set = !!document.querySelector(target)?.querySelector('math');
               return {rule: v.id, target, html: n.html.slice(0, 120),
                       why: n.failureSummary.split('\\n').slice(1).join(' ').trim(),
                       formula: v.id === 'empty-table-header' && set};
             })) }""",
        list(rules),
    )
    return [
        f"{one['rule']}: {one['target']}: {one['why']} {one['html']}"
        for one in found
        if not one["formula"] and not any(one["target"].startswith(start) for start in KNOWN.get(one["rule"], {}))
    ]
