"""What this book adds to the command line ``npf``."""

import sys
from pathlib import Path

import click

from npflib import profiles
from npflib.records import locations


@click.command()
@click.option("--profile", default="quick", show_default=True, type=click.Choice(list(profiles.PROFILES)))
@click.option("--build", default="", help="Build folder. Default: the profile's own.")
@click.option("--check", is_flag=True, help="Fail when a verdict contradicts its claim's standing.")
def ledger(profile: str, build: str, check: bool) -> None:
    """Collect the claims of a build into its ledger, claims.json."""
    from companion.ledger import collect, contradictions

    folder: Path = locations.build(profile, build)
    if not folder.is_dir():
        raise click.ClickException(f"there is no build folder {folder}. Build the book first, or name another folder.")
    try:
        found = collect(folder)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for claim in found:
        click.echo(f"{claim.verdict:10} {claim.id}: {claim.sentence}")
    if check and not found:
        raise click.ClickException(f"{folder} holds no claim, so nothing was checked. Run the chapters first.")
    broken = contradictions(found)
    for claim in broken:
        click.echo(f"CONTRADICTS ITS STANDING ({claim.standing}): {claim.id} is {claim.verdict}", err=True)
    if check and broken:
        sys.exit(1)
