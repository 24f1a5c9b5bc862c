"""The rules by which pages are checked for accessibility find what they are for; known exceptions have reasons."""

import pytest
from accessibility import KNOWN, findings, set_mode

PAGE = """<!doctype html><html lang="en" data-theme="light"><head><title>A page</title><style>
html[data-theme="dark"] p { color: #333; background: #222 }</style></head>
<body><main><h1>Heading</h1>BODY</main></body></html>"""


@pytest.fixture
def tab(browser):
    page = browser.new_page()
    yield page
    page.close()


def found(tab, tmp_path, body: str, mode: str = "light", **options) -> list[str]:
    path = tmp_path / "page.html"
    path.write_text(PAGE.replace("BODY", body))
    tab.goto(path.as_uri())
    set_mode(tab, mode)
    return [finding.split(":")[0] for finding in findings(tab, **options)]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "image-alt"),
        ("<p style='color:#aaa;background:#fff'>pale</p>", "color-contrast"),
        (f"<div style='overflow:auto;width:9em;height:5em'><p>{'word ' * 99}</p></div>", "scrollable-region-focusable"),
        ("<table><tr><th></th><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>", "empty-table-header"),
        ("<h4>too deep</h4>", "heading-order"),
    ],
)
def test_faults_are_found(tab, tmp_path, body, rule):
    assert rule in found(tab, tmp_path, body)


def test_a_good_page_has_none(tab, tmp_path):
    assert found(tab, tmp_path, "<h2>Part</h2><p>Text.</p>") == []


def test_the_mode_is_part_of_the_check(tab, tmp_path):
    assert found(tab, tmp_path, "<p>Text.</p>", "light") == []
    assert found(tab, tmp_path, "<p>Text.</p>", "dark", rules=("color-contrast",)) == ["color-contrast"]


def test_of_words_of_code_one_of_each_kind_is_checked_and_any_fault_found(tab, tmp_path):
    style = "<style>pre {background: #fff} .k {color: #000} .s {color: #ccc} .cell_output .k {color: #ccc}</style>"
    word, pale = "<span class='k'>for</span> ", "<span class='s'>'a'</span> "
    code = "<div class='{}'><div class='highlight'><pre>{}</pre></div></div>"
    sound = style + code.format("cell_input", word * 40) + code.format("cell_input", word * 40)
    assert found(tab, tmp_path, sound) == []
    assert tab.evaluate("() => document.querySelectorAll('pre span').length") == 1
    assert tab.evaluate("() => document.body.innerText.match(/for/g).length") == 80
    assert found(tab, tmp_path, sound + code.format("cell_input", word + pale * 40)) == ["color-contrast"]
    assert found(tab, tmp_path, sound + code.format("cell_output", word * 40)) == ["color-contrast"]


def test_a_formula_is_a_heading(tab, tmp_path):
    heading = "<table><tr><th><math><mi>A</mi></math></th></tr><tr><td>1</td></tr></table>"
    assert found(tab, tmp_path, heading) == []


def test_known_exceptions_have_a_reason():
    assert all(len(reason.split()) > 3 for places in KNOWN.values() for reason in places.values())
