"""What depends on what: data -> runs -> notebooks -> claims ledger -> book.

    snakemake --cores 2                           the whole book, profile quick, in build/: what it trains are replays
    snakemake --cores 2 --config profile=smoke    everything runs, nothing is concluded, in build/smoke/
    NPF_BUILD=elsewhere snakemake --cores 2       another build folder
    snakemake --cores 2 --config profile=paper only=mnist-fc -- runs    the runs of a part of the table
    snakemake --cores 2 --config profile=paper -- studies               the studies of chapters 4, 10, 11, 12 and 15

`make book` calls this file and adds nothing but a Python environment, a lock and a clock. Everything is made inside
the build folder; `results/`, the published run records, is an input and never an output.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from companion.studies.study import STUDIES
from npflib import experiments, profiles, regimes
from npflib.records import fingerprint
from snakemake.exceptions import WorkflowError

PROFILE = config.get("profile", "quick")
if PROFILE not in profiles.PROFILES:
    raise WorkflowError(f"unknown profile {PROFILE!r}; allowed: {', '.join(sorted(profiles.PROFILES))}")
# A variable, since --config would make a number of 2024.
BUILD = os.environ.get("NPF_BUILD") or ("build" if PROFILE == "quick" else f"build/{PROFILE}")
BUILD = os.path.abspath(BUILD) if BUILD.startswith("-") else BUILD  # to rm, mv and the scripts it were an option
if "build" in config:
    raise WorkflowError(f"--config build={config['build']} is not read: name the build folder by NPF_BUILD=…")

SEEDS = profiles.PROFILES[PROFILE].seeds
# `only=mnist-fc,cifar10-gconv-adam` leaves out every other experiment, for a part of the table at a time.
ONLY = tuple(filter(None, str(config.get("only") or "").split(",")))
RUNS = [run for run in experiments.runs_of(PROFILE) if not ONLY or run[0].startswith(ONLY)]
if not RUNS:
    there = ", ".join(dict.fromkeys(name for name, _ in experiments.runs_of(PROFILE)))
    raise WorkflowError(f"only={','.join(ONLY)} names no experiment of profile {PROFILE}; there are: {there}")
NOTEBOOKS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
# These two read the whole ledger and record no claim of their own; the other chapters write it.
READ_THE_LEDGER = [name for name in NOTEBOOKS if name.endswith(("_overview", "_scoreboard"))]
WRITE_THE_LEDGER = [name for name in NOTEBOOKS if name not in READ_THE_LEDGER]

LIBRARY = sorted(str(path) for name in ("npflib", "companion") for path in Path(name).rglob("*.py"))
PUBLISHED = sorted(str(path) for end in ("json", "safetensors") for path in Path("results").glob(f"*/**/*.{end}"))
STANDINGS = [path for path in ["results/standings.json"] if Path(path).exists()]  # read when claims are collected


def dataset_of(experiment):
    return experiment.split("-")[0]


def records(experiment, regime):
    return expand(f"{BUILD}/runs/{experiment}/{regime}/seed-{{seed}}.json", seed=SEEDS)


def weights(experiment, regime):
    return expand(f"{BUILD}/runs/{experiment}/{regime}/seed-{{seed}}.safetensors", seed=SEEDS)


def gates_for(wildcards):
    """Learnt gates, at any stage, are a trained ReLU network's: that one comes first, and a published one with it."""
    if regimes.find(wildcards.regime).feature != "learnt":
        return []
    published = (f"results/{wildcards.experiment}/ReLU/seed-{seed}.safetensors" for seed in SEEDS)
    return weights(wildcards.experiment, "ReLU") + list(filter(os.path.exists, published))


# The experiments that a page reads, by a chapter's number or a page's name; one that is not here reads the paper's
# table.
TABLE = [experiment.name for experiment in experiments.TABLE]
READS = {
    "01": ["mnist-fc-adam-nobias"],
    **dict.fromkeys(("02", "03", "04"), []),  # a published network, in every profile
    "05": [name for name in TABLE if dataset_of(name) == "mnist"],
    "06": [name for name in experiments.COMPANION if "-quarter-" in name]
    + [name for name in TABLE if dataset_of(name) == "cifar10"],
    "07": ["cifar10-continuous", "cifar10-quarter-gconv-adam"],
    "08": ["mnist-alignment", "mnist-alignment-shuffled"],
    "09": ["mnist-kernel-traces"],
    "10": [],  # it trains its own networks, in memory
    "11": [],
    "12": [],
    "13": [],
    "14": [],
    "15": ["mnist-fc-adam-linear-gates"],
    "gate_explorer": [],
    "errata": [],
    "adding_a_regime": [],
    "adding_a_data_set": [],
}


# The studies that a chapter shows; it takes what is kept of them, or measures what is not.
STUDIED = {
    "04": ["mnist-kernel-flow"],
    "10": ["mnist-kernel-readout", "cifar10-kernel-readout"],
    "11": ["mnist-infinite-width"],
    "12": ["mnist-layer-gates", "cifar10-layer-gates"],
    "15": ["mnist-soft-gates", "mnist-width-and-depth"],
}


def study_table(name):
    return f"{BUILD}/studies/{name}/{'full' if PROFILE == 'paper' else PROFILE}.json"


def runs_read_by(notebook):
    """A chapter waits for its own runs only."""
    read = READS[notebook] if notebook in READS else READS.get(notebook[:2], TABLE)
    return [run for run in RUNS if run[0] in read]


def inputs_of(notebook):
    runs = runs_read_by(notebook)
    files = [f for run in runs for f in records(*run) + weights(*run)]
    files += [f"{BUILD}/data/{name}.json" for name in sorted({"mnist"} | {dataset_of(e) for e, _ in runs})]
    files += map(study_table, STUDIED.get(notebook[:2], []))
    if notebook == "gate_explorer":  # its page holds them whole
        files += sorted(map(str, Path("book/explorer").iterdir()))
    return files + LIBRARY + PUBLISHED


def files_of(dataset):
    """The folder that holds a data set's files, "" while there is none: its appearance makes the note anew."""
    root = Path(os.environ.get("NPF_DATA") or "data").expanduser()
    folder = root / {"mnist": "MNIST/raw", "cifar10": "cifar-10-batches-py"}[dataset]
    return str(folder) if folder.is_dir() else ""


# The programs come from the environment that Snakemake itself runs in; one thread a job, jobs side by side. What the
# user's own environment says of figures, languages and start-up files changes no page.
shell.prefix(
    "unset MPLBACKEND MATPLOTLIBRC PYTHONSTARTUP PYTHONWARNINGS IPYTHONDIR; export LC_ALL=C.UTF-8; "
    f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH JUPYTER_PREFER_ENV_PATH=1 PYTHONUTF8=1 "
    "OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; "
)


wildcard_constraints:
    dataset="[a-z0-9]+",
    study="|".join(map(re.escape, STUDIES)),
    experiment="|".join(sorted({re.escape(e) for e, _ in RUNS})) or "none",
    regime="|".join(sorted({re.escape(r) for _, r in RUNS})) or "none",
    writer="|".join(map(re.escape, WRITE_THE_LEDGER)) or "none",
    reader="|".join(map(re.escape, READ_THE_LEDGER)) or "none",


localrules: all, runs, studies, data, ledger, check_ledger  # fmt: skip


rule all:
    default_target: True
    input:
        f"{BUILD}/html/index.html",
        f"{BUILD}/ledger.checked",


rule runs:
    """Train and stop there: no chapter, no book."""
    input:
        [record for run in RUNS for record in records(*run)],


rule studies:
    """Measure the studies and stop there."""
    input:
        [study_table(name) for name in STUDIES],


rule study:
    """One study, unit by unit; interrupted, it goes on from the last. What another code measured is not taken."""
    input:
        expand(f"{BUILD}/data/{{name}}.json", name=("mnist", "cifar10")),
    output:
        update(study_table("{study}")),
    log:
        f"{BUILD}/logs/studies/{{study}}.log",
    params:
        code=lambda wildcards: fingerprint.fingerprint(STUDIES[wildcards.study]),  # its configurations in it
    threads: 1
    message:
        "study: {wildcards.study}"
    shell:
        "npf study {wildcards.study} --profile {PROFILE} --build {BUILD:q} --quiet > {log:q} 2>&1"


rule data:
    """Fetch a data set once, before anything needs it, and note where it came from."""
    input:
        "npflib/data/datasets.py",
        "npflib/data/downloads.py",
        "npflib/data/stand_ins.py",
        "scripts/fetch_data.py",
    output:
        f"{BUILD}/data/{{dataset}}.json",
    params:
        # Where files arrive after a book was built of stand-ins, everything that was made of those is made anew.
        files=lambda wildcards: files_of(wildcards.dataset),
    message:
        "data: {wildcards.dataset}"
    shell:
        "python scripts/fetch_data.py {wildcards.dataset} {output:q}"


rule train:
    """One configuration, all seeds of the profile at once. Interrupted, it goes on from its last epoch.

    It runs again when the code that decides a result changes (a fingerprint without comments and docstrings), or its
    own settings do: a change to a figure, or to another experiment, trains nothing. The old records stay until
    whole new ones replace them (`update`).
    """
    input:
        data=lambda wildcards: f"{BUILD}/data/{dataset_of(wildcards.experiment)}.json",
        gates=gates_for,
    output:
        update(expand(f"{BUILD}/runs/{{{{experiment}}}}/{{{{regime}}}}/seed-{{seed}}.json", seed=SEEDS)),
        update(expand(f"{BUILD}/runs/{{{{experiment}}}}/{{{{regime}}}}/seed-{{seed}}.safetensors", seed=SEEDS)),
    log:
        f"{BUILD}/logs/train/{{experiment}}/{{regime}}.log",
    params:
        seeds=",".join(map(str, SEEDS)),
        code=fingerprint.training_source_hash(),
        # Which of these changes touch a run, its configuration says; the others are read again, not trained.
        gates=fingerprint.digest(fingerprint.Place("npflib.gates", "_GATES")),
        regime=lambda wildcards: repr(regimes.find(wildcards.regime)),
        settings=lambda wildcards: repr(experiments.find(wildcards.experiment)),
        budget=lambda wildcards: repr(experiments.budget(wildcards.experiment, PROFILE, wildcards.regime)),
    threads: 1
    message:
        "train: {wildcards.experiment}, {wildcards.regime}, seeds {params.seeds}"
    shell:
        "npf train --experiment {wildcards.experiment} --regime {wildcards.regime:q} --profile {PROFILE}"
        " --seeds {params.seeds} --build {BUILD:q} > {log:q} 2>&1"


# The notebook is executed under another name and takes its own only when whole. A failing one stays beside it as
# *.failed.ipynb with the error in its place, and the previous good one stays where it was (`update`).
EXECUTE = (
    "part={params.stem:q}.$$.part.ipynb; failed={params.stem:q}.failed.ipynb; "
    "rm -f {params.stem:q}.*.part.ipynb \"$failed\"; "
    "execute() {{ papermill {input.notebook:q} \"$part\" --cwd . --kernel python3 --no-progress-bar "
    " -p profile {PROFILE} -r build {BUILD:q} > {log:q} 2>&1; }}; "
    # Kernels that start in the same instant may be given the same port; the one that loses has computed nothing yet.
    "again() {{ grep -q 'Kernel died before replying' {log:q} && execute; }}; "
    "if execute || again || again; then mv \"$part\" {output:q}; "
    "else if [ -e \"$part\" ]; then mv \"$part\" \"$failed\"; fi; tail -n 40 {log:q} >&2; "
    "echo \"{input.notebook} failed; as far as it came: $failed\" >&2; exit 1; fi"
)


rule chapter:
    """Execute a chapter, which records its claims in <build>/claims/."""
    input:
        lambda wildcards: inputs_of(wildcards.writer),
        notebook="notebooks/{writer}.ipynb",
    output:
        update(f"{BUILD}/notebooks/{{writer}}.ipynb"),
    log:
        f"{BUILD}/logs/notebooks/{{writer}}.log",
    params:
        stem=lambda wildcards: f"{BUILD}/notebooks/{wildcards.writer}",
    threads: 1
    message:
        "chapter: {wildcards.writer}"
    shell:
        EXECUTE


rule ledger:
    """One list of all the claims that the chapters recorded."""
    input:
        expand(f"{BUILD}/notebooks/{{name}}.ipynb", name=WRITE_THE_LEDGER),
        STANDINGS,
    output:
        update(f"{BUILD}/claims.json"),
    message:
        "ledger: collect the claims"
    shell:
        "python scripts/retire_claims.py {BUILD:q} && npf ledger --profile {PROFILE} --build {BUILD:q}"


rule ledger_page:
    """Execute the pages that read the ledger: the overview and the scoreboard."""
    input:
        lambda wildcards: inputs_of(wildcards.reader),
        notebook="notebooks/{reader}.ipynb",
        ledger=f"{BUILD}/claims.json",
    output:
        update(f"{BUILD}/notebooks/{{reader}}.ipynb"),
    log:
        f"{BUILD}/logs/notebooks/{{reader}}.log",
    params:
        stem=lambda wildcards: f"{BUILD}/notebooks/{wildcards.reader}",
    threads: 1
    message:
        "chapter: {wildcards.reader}"
    shell:
        EXECUTE


rule book:
    """Assemble the sources and build the pages; the old book stays until the new one is whole."""
    input:
        notebooks=expand(f"{BUILD}/notebooks/{{name}}.ipynb", name=NOTEBOOKS),
        sources=sorted(str(path) for path in Path("book").rglob("*") if path.is_file()),
        library=LIBRARY,  # its pages are made from the docstrings
        scripts=expand("scripts/{name}.py", name=("build_book", "library_pages", "link_notation", "book_extension")),
    params:
        repository=os.environ.get("NPF_REPOSITORY", ""),  # switches the launch buttons on: scripts/launch_buttons.py
    output:
        update(f"{BUILD}/html/index.html"),
    log:
        f"{BUILD}/logs/book.log",
    message:
        "book: build the pages"
    shell:
        "python scripts/build_book.py --book book --notebooks {BUILD:q}/notebooks --build {BUILD:q}"
        " --names {NOTEBOOKS:q} > {log:q} 2>&1 || {{ tail -n 40 {log:q} >&2; exit 1; }}"


rule check_ledger:
    """A claim whose verdict contradicts its standing fails the build, after the book that shows it is built."""
    input:
        ledger=f"{BUILD}/claims.json",
        book=f"{BUILD}/html/index.html",
    output:
        touch(f"{BUILD}/ledger.checked"),
    message:
        "ledger: compare verdicts with standings"
    shell:
        "npf ledger --profile {PROFILE} --build {BUILD:q} --check"
