"""Load one data set, downloading it where needed, and write down where it came from.

usage: fetch_data.py NAME OUTPUT.json
"""

import json
import logging
import sys
from pathlib import Path

from npflib import data
from npflib.records.atomic import write_text


def main(name: str, output: str) -> None:
    """Write the data set's source (see `npflib.data.datasets.Source`) to `output`, whole or not at all."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    source = data.load(name).source
    write_text(Path(output), json.dumps(source.as_dict(), indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
