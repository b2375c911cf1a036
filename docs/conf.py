"""How Sphinx builds the documentation; `./check` does, and docs/setup installs what it takes."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "Job-Runner"
version = release = re.search(r'(?m)^version = "(.*)"$', (ROOT / "Cargo.toml").read_text()).group(1)
html_title = f"{project} {release}"
html_theme = "furo"
html_copy_source = False
exclude_patterns = ["generated", "screenshots", "performance"]
highlight_language = "text"
smartquotes = False

nitpicky = True

# The pages that stand in the root of the repository speak of files as they are found there.
MOVED = {
    "docs/performance/": "performance/",
    "`RELIABILITY.rst <RELIABILITY.rst>`_": ":doc:`reliability`",
    "`PERFORMANCE.rst <PERFORMANCE.rst>`_": ":doc:`performance`",
}


def _at_home(_app, _path, _document, text):
    for there, here in MOVED.items():
        text[0] = text[0].replace(there, here)


def setup(app):
    app.connect("include-read", _at_home)
    return {"parallel_read_safe": True}
