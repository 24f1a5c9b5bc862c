"""The notebooks: output-free, parameterised alike, strict about their parameters, and quiet when executed."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import matplotlib as mpl
import nbformat
import papermill
import pytest

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
CHECKER = PROJECT / "scripts" / "check_notebooks.py"
TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "tuple": tuple}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def parameters_index(page: nbformat.NotebookNode) -> int:
    found = [i for i, cell in enumerate(page.cells) if "parameters" in cell.metadata.get("tags", [])]
    assert len(found) == 1, f"cells tagged `parameters`: {found}; there must be one"
    return found[0]


def assignments(source: str) -> dict[str, tuple[object, str]]:
    """Name to (default, comment) of a cell that holds nothing but one-line assignments of plain values."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign), f"not a plain assignment: {ast.unparse(statement)}"
        [target] = statement.targets
        found[target.id] = ast.literal_eval(statement.value), comments.get(statement.end_lineno, "")
    return found


def test_there_are_notebooks():
    assert NOTEBOOKS, "notebooks/ holds no notebook"


@every_notebook
def test_is_output_free(path):
    check = subprocess.run([sys.executable, CHECKER, path], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_the_checker_sees_outputs(tmp_path):
    cell = nbformat.v4.new_code_cell("1", execution_count=3)
    cell.outputs = [nbformat.v4.new_output("stream", text="1")]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "run.ipynb")
    check = subprocess.run([sys.executable, CHECKER, tmp_path / "run.ipynb"], capture_output=True, text=True)
    assert check.returncode == 1
    assert "has outputs" in check.stderr
    assert "has an execution count" in check.stderr


@pytest.mark.parametrize(
    "text", ["", "<<<<<<< HEAD", "[]", "3", '{"cells": 3, "nbformat": 4, "metadata": {}}', "[" * 10**5]
)
def test_the_checker_names_what_is_no_notebook(tmp_path, text):
    (tmp_path / "page.ipynb").write_text(text)
    check = subprocess.run([sys.executable, CHECKER, tmp_path / "page.ipynb"], capture_output=True, text=True)
    assert check.returncode == 1
    assert "page.ipynb: is not a notebook (" in check.stderr
    assert "Traceback" not in check.stderr


@every_notebook
def test_runs_on_the_plain_python_kernel(path):
    assert read(path).metadata.kernelspec.name == "python3"


@every_notebook
def test_parameters_are_typed_and_commented(path):
    page = read(path)
    found = assignments(page.cells[parameters_index(page)].source)
    assert list(found)[:2] == ["profile", "build"]
    assert found["profile"][0] == "quick"
    assert found["build"][0] == ""
    for name, (default, comment) in found.items():
        said = re.match(r"# (\w+)\b.*?: \S", comment)
        assert said, f"{name}: the comment must read `# type: meaning`, not {comment!r}"
        assert said[1] in TYPES, f"{name}: unknown type {said[1]}"
        assert default is None or isinstance(default, TYPES[said[1]]), f"{name} = {default!r} is not {said[1]}"


@every_notebook
def test_its_set_up_leaves_the_page(path):
    page = read(path)
    position = parameters_index(page)
    set_up = [cell for cell in page.cells[position : position + 2] if cell.cell_type == "code"]
    set_up += [cell for cell in page.cells[position + 2 : position + 3] if cell.source.startswith(("import ", "from "))]
    assert all("remove-cell" in cell.metadata.tags for cell in set_up)
    assert f'Chapter("{path.stem}", globals()' in re.sub(r"\(\s+", "(", set_up[1].source)


def test_no_local_function_is_written_in_two_notebooks():
    """The same name with the same body: it belongs into the companion. The ten lines that end a chapter stand alone."""
    seen = {}
    for path in NOTEBOOKS:
        for cell in read(path).cells:
            if cell.cell_type == "code" and not re.search(r"^[%!]", cell.source, re.MULTILINE):
                for statement in ast.parse(cell.source).body:
                    if isinstance(statement, ast.FunctionDef):
                        body = ast.dump(ast.Module(statement.body, []))
                        seen.setdefault((ast.dump(statement.args), body), set()).add(path.stem)
    assert [places for places in seen.values() if len(places) > 1] == []


def execute(path, output, parameters, attempts=3, cwd=PROJECT):
    """Runs a notebook; again where its kernel was given a port that another kernel took in the same instant."""
    options = {"kernel_name": "python3", "cwd": cwd, "progress_bar": False}
    for attempt in range(1, attempts + 1):
        try:
            return papermill.execute_notebook(path, output, parameters=parameters, **options)
        except RuntimeError as error:
            if "Kernel died before replying" not in str(error) or attempt == attempts:
                raise
    return None


@every_notebook
def test_an_unknown_profile_stops_it_before_any_work(path, tmp_path, monkeypatch):
    """In the cell that validates, which comes right after the parameters and any injected ones."""
    page, build = read(path), tmp_path / "build"
    monkeypatch.chdir(PROJECT)
    position = parameters_index(page)
    space = {"__name__": "__main__"}
    for cell in page.cells[: position + 1]:
        if cell.cell_type == "code":
            exec(cell.source, space)
    space |= {"profile": "huge", "build": str(build)}
    with mpl.rc_context(), pytest.raises(ValueError, match=r"'huge' is not allowed; .* 'smoke', 'quick', 'paper'"):
        exec(page.cells[position + 1].source, space)
    assert not build.exists()


def test_papermill_stops_at_the_cell_that_validates(tmp_path):
    """The parameters, the injected ones, then that cell; nothing after it has run."""
    with pytest.raises(papermill.PapermillExecutionError, match="'huge' is not allowed"):
        execute(NOTEBOOKS[0], tmp_path / "out.ipynb", {"profile": "huge"})
    page = read(tmp_path / "out.ipynb")
    # papermill adds its own remarks on the failure
    page.cells = [c for c in page.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    ran = [i for i, cell in enumerate(page.cells) if cell.get("execution_count")]
    failed = [i for i, cell in enumerate(page.cells) if any(o.output_type == "error" for o in cell.get("outputs", []))]
    assert failed == [ran[-1]] == [parameters_index(page) + 2]


@pytest.mark.parametrize("backend", ["agg", "svg"])
def test_a_notebook_runs_twice_in_one_kernel_from_anywhere_with_any_backend(backend, tmp_path, monkeypatch):
    """Each half shows its figures; the project is found although the notebook does not run in it."""
    monkeypatch.setenv("MPLBACKEND", backend)
    page = read(PROJECT / "notebooks" / "gate_explorer.ipynb")
    once = [cell for cell in page.cells if cell.cell_type == "code"]
    again = [nbformat.v4.new_code_cell(cell.source) for cell in once]
    page.cells = [*once, *again]
    nbformat.write(page, tmp_path / "twice.ipynb")
    parameters = {"profile": "smoke", "build": str(tmp_path / "build")}
    execute(tmp_path / "twice.ipynb", tmp_path / "out.ipynb", parameters, cwd=tmp_path)
    outputs = [output for cell in read(tmp_path / "out.ipynb").cells for output in cell.get("outputs", [])]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) == 2
    assert (tmp_path / "build" / "claims" / "companion-explorer-exact.json").is_file()


@every_notebook
def test_wrong_values_of_every_parameter_are_refused(path, tmp_path, monkeypatch):
    """Each parameter in turn gets a value of no sensible type; the validating cell says its name."""
    page = read(path)
    position = parameters_index(page)
    before = [cell.source for cell in page.cells[:position] if cell.cell_type == "code"]
    cell, validation = page.cells[position], page.cells[position + 1]
    assert validation.cell_type == "code"
    monkeypatch.chdir(PROJECT)

    def run(name: str = "", value: object = None) -> None:
        space: dict = {"__name__": "__main__"}
        for source in (*before, cell.source):
            exec(source, space)
        if name:
            space[name] = value
        with mpl.rc_context():  # a chapter sets the book's style
            exec(validation.source, space)

    run()
    for name in assignments(cell.source):
        with pytest.raises(ValueError, match=name):
            run(name, {"not": "allowed"})


@every_notebook
def test_figures_have_alternative_text(path, smoke_book):
    executed = read(smoke_book.parent / "notebooks" / path.name)
    for number, cell in enumerate(executed.cells):
        pictures = [o for o in cell.get("outputs", []) if any(k.startswith("image/") for k in o.get("data", {}))]
        if pictures:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 4, f"cell {number} shows a figure whose alternative text is {alt!r}"


@every_notebook
def test_executes_without_errors_and_warnings(path, smoke_book):
    executed = read(smoke_book.parent / "notebooks" / path.name)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code if cell.source.strip())
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error"
            if output.output_type == "stream" and output.name == "stderr":
                # A progress bar rewrites its line, and stand-in data are announced; all else is a complaint.
                lines = [line for line in re.split(r"[\r\n]+", output.text) if line.strip()]
                known = r"\d+%\||\d+(it|step) \[|\?it/s|^STAND-IN DATA: "
                complaints = [line for line in lines if not re.search(known, line)]
                assert complaints == []
