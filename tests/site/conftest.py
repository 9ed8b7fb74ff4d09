"""The built site and the browser; a test skips if one of them is missing."""

from pathlib import Path

import pytest

from . import chromium

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "site"
SOURCES = ("docs/**/*", "mkdocs.yml", "recipes/**/*")


def newer_sources(root, site):
    """Return the sources of the documentation that changed after the site was built."""
    built = (site / "404.html").stat().st_mtime
    sources = [path for pattern in SOURCES for path in root.glob(pattern) if "__pycache__" not in path.parts]
    return sorted(str(path.relative_to(root)) for path in sources if path.is_file() and path.stat().st_mtime > built)


@pytest.fixture(scope="session")
def site():
    """Return the folder of the built site."""
    if not (SITE / "404.html").is_file():
        pytest.skip("there is no built site; run 'make docs'")
    if newer := newer_sources(ROOT, SITE):
        pytest.skip(f"the built site is older than {newer[0]}; run 'make docs'")
    return SITE


@pytest.fixture(scope="module")  # not for the session: playwright's event loop would meet that of other tests
def browser():
    """Return a headless browser."""
    pytest.importorskip("playwright", reason="playwright is not installed; run 'make docs'")
    if not chromium.executable():
        pytest.skip(f"none of {', '.join(chromium.EXECUTABLES)} is installed")
    with chromium.launch() as browser:
        yield browser
