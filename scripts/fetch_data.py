"""Load one data set, downloading it where needed, and write down where it came from.

usage: fetch_data.py NAME OUTPUT.json
"""

import json
import logging
import sys
from pathlib import Path

from npflib import data


def main(name: str, output: str) -> None:
    """Write the data set's source (see `npflib.data.datasets.Source`) to `output`, by way of a temporary file."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    source = data.load(name).source
    target = Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_text(json.dumps(source.as_dict(), indent=2) + "\n")
    part.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
