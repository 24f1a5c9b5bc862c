"""What a published book has: buttons that open a chapter on Binder or Colab, descriptions and cards of its pages.

NPF_REPOSITORY=https://github.com/OWNER/NAME switches them on; without it no page names its own place. Nothing of
another host is loaded either way: the buttons are links.
"""

import re
from pathlib import Path

VARIABLE = "NPF_REPOSITORY"
BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"


def checked(repository: str) -> str:
    """The repository's plain address; "" where there is none.

    Raises:
        ValueError: it is not the address of one on GitHub, which is all that Colab opens.
    """
    plain = repository.strip().rstrip("/").removesuffix(".git")
    if plain and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", plain):
        raise ValueError(f"{VARIABLE}={plain} is not allowed; it must look like https://github.com/OWNER/NAME")
    return plain


def switch_on(configuration: dict, repository: str) -> dict:
    """The book's configuration with the buttons on, or as it was where ``repository`` is empty."""
    repository = checked(repository)
    if not repository:
        return configuration
    options = configuration["sphinx"]["config"]["html_theme_options"]
    options |= {
        "repository_url": repository,
        "repository_branch": "main",
        "path_to_docs": "notebooks",
        "launch_buttons": {"binderhub_url": BINDER, "colab_url": COLAB, "notebook_interface": "jupyterlab"},
    }
    owner, name = repository.split("/")[-2:]
    settings = configuration["sphinx"]["config"]
    settings["extensions"] = [*settings["extensions"], "sphinxext.opengraph"]
    settings |= {"ogp_site_url": f"https://{owner.lower()}.github.io/{name}/", "ogp_site_name": configuration["title"]}
    return configuration


def mend_root(pages: Path, root: str) -> None:
    """Let the first page's buttons open the notebook ``root``, whose page is called `index`."""
    page = pages / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace("notebooks/index.ipynb", f"notebooks/{root}.ipynb"))
