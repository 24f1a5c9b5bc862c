"""What this book adds to the command line ``npf``."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from companion import ledger as claims
from npflib import profiles
from npflib.records import locations


def _seeds(*given: object) -> list[int] | None:
    return import_module("npflib.cli")._seeds(*given)  # which loads this module's commands


@contextmanager
def _told(part: str = "") -> Iterator[None]:
    """Says in a line what cannot be done, and of an interrupted command from which last part it goes on."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. The same command goes on from the last finished {part}.", err=True)
        sys.exit(130)


@click.command()
@click.option("--profile", default="quick", show_default=True, type=click.Choice(list(profiles.PROFILES)))
@click.option("--build", default="", help="Build folder. Default: the profile's own.")
@click.option("--check", is_flag=True, help="Fail when a verdict contradicts its claim's standing.")
@click.option("--publish", is_flag=True, help="Let claims stand, in results/, where this build's evidence puts them.")
def ledger(profile: str, build: str, check: bool, publish: bool) -> None:
    """Collect the claims of a build into its ledger, claims.json."""
    with _told():
        folder: Path = locations.build(profile, build)
    if not folder.is_dir():
        raise click.ClickException(f"there is no build folder {folder}. Build the book first, or name another folder.")
    if publish and profile == "paper":
        mend = "publish from a smoke or quick build, which reads them there: npf ledger --profile quick --publish"
        own = "a paper build may rest on records of its own. Put these into results/"
        raise click.ClickException(f"{own}, and {mend}.")
    with _told("claim"):
        found = claims.collect(folder)
        if publish:
            click.echo(f"published: {claims.publish(found)}", err=True)
            found = claims.collect(folder)
    for claim in found:
        click.echo(f"{claim.verdict:10} {claim.id}: {claim.sentence}")
    for line in filter(None, (*claims.counted(found), claims.chance(found))):
        click.echo(line)
    if check and not found:
        raise click.ClickException(f"{folder} holds no claim, so nothing was checked. Run the chapters first.")
    broken = claims.contradictions(found)
    for claim in broken:
        click.echo(f"CONTRADICTS ITS STANDING ({claim.standing}): {claim.id} is {claim.verdict}", err=True)
    if check and broken:
        sys.exit(1)


@click.command()
@click.argument("name", default="")
@click.option("--profile", default="quick", show_default=True, type=click.Choice(list(profiles.PROFILES)))
@click.option("--seeds", callback=_seeds, help="Comma-separated, e.g. 0,1,2. Default: the study's own.")
@click.option("--build", default="", help="Build folder. Default: the profile's own.")
@click.option("--publish", is_flag=True, help="Put the table into results/: profile paper, no stand-in data.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def study(name: str, profile: str, seeds: list[int] | None, build: str, publish: bool, quiet: bool) -> None:
    """Measure the study NAME; without a NAME, list them.

    Repeat an interrupted command to go on; several at the same time share the work.
    """
    from companion.studies.study import STUDIES, find

    if not name:
        for one in map(find, STUDIES):
            click.echo(f"{one.name:24} {one.title}")
        return
    with _told("part"):
        asked = find(name)
        config, *data = asked.load(asked.configs[profile])
        config = config if seeds is None else replace(config, seeds=tuple(seeds))
        folder = locations.build(profile, build)
        table = asked.measure(config, *data, name=profile, build=folder, progress=not quiet)
        if seeds is None:
            asked.write(table, folder / "studies" / name / f"{table.name}.json")
        published = asked.publish(table) if publish else None
    found = table.frame()
    by, shares = ([c for c in names if c in found] for names in (asked.conditions, asked.shares))
    click.echo(f"{name}, {table.name}: {data[0].source.title}, seeds {table.seeds}, {table.seconds:.0f} s; means")
    click.echo((100 * found.groupby(by, sort=False, dropna=False)[shares].mean()).round(2).to_string())
    if published is not None:
        click.echo(f"published: {published}")


@click.command()
@click.option("--hours", type=float, required=True, help="How long it may take.")
@click.option("--profile", default="paper", show_default=True, type=click.Choice(["smoke", "paper"]))
@click.option("--experiments", default="", help="Comma-separated, worth most first. Default: the paper's on CIFAR-10.")
@click.option("--seeds", callback=_seeds, help="Comma-separated, e.g. 0,1,2. Default: the profile's.")
@click.option("--side-by-side", default=2, show_default=True, help="Runs at a time on the one device.")
@click.option("--device", default=None, help="cpu, cuda, … Default: CUDA where there is one.")
@click.option("--precision", default="", help="float32 or bfloat16. Default: bfloat16 on CUDA.")
@click.option("--build", default="", help="Build folder. Default: the profile's own.")
@click.option("--dry-run", is_flag=True, help="Measure and print the plan only.")
def campaign(hours: float, experiments: str, dry_run: bool, **options: Any) -> None:
    """Fill the paper's table on CIFAR-10 as far as the time goes. Repeat a stopped command to go on."""
    from companion.campaign import ORDER, Campaign

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = [name.strip() for name in experiments.split(",")] if experiments else ORDER
    try:
        with _told("epochs"):
            asked = Campaign(hours, names=names, **options)
            for line in asked.lines(dry_run):
                click.echo(line)
    finally:
        signal.signal(signal.SIGTERM, before)
    if asked.failed:
        sys.exit(1)
