"""Hook of MkDocs that generates a page for each recipe from its module and its recorded results."""

import io
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure
from mkdocs.structure.files import File
from PIL import Image

from deepkit._version import __version__
from deepkit.recipe import discovery, groups, pages

LINE_LENGTH = 80
THUMBNAIL = (320, 200)  # pixels
SMALL = (440, 320)
INTRODUCTION = (
    "Each recipe reproduces one paper, or the experiments of a lecture, with one command in one readable module. A "
    "card shows the published and the measured value. The first group takes seconds to minutes: start with "
    "[threshold units](threshold_units.md) and [XOR](xor.md). [LeNet-5](lenet.md), [depth](depth.md) and "
    "[residual networks](resnet.md) show what makes deep networks trainable."
)


def on_config(config):
    """Show the version and the license below every page."""
    config.copyright = f"deepkit {__version__}, Apache License 2.0"
    return config


def on_files(files, config):
    """Add the page of every recipe, the overview of all recipes, and their figures."""
    root = Path(config.config_file_path).parent / "recipes"
    entries = [entry for entry in discovery.entries() if entry.module.startswith("recipes.")]
    thumbnails = {}
    for entry in entries:
        diagrams = {f"figures/{entry.name}-{title}.svg": _svg(figure) for title, figure in _diagrams(entry.name)}
        page = pages.render_page(
            entry.name, source_url=_source_url(config), diagrams=list(diagrams), format_code=_format_code
        )
        files.append(File.generated(config, f"recipes/{entry.name}.md", content=page))
        for path, content in diagrams.items():
            files.append(File.generated(config, f"recipes/{path}", content=content))
        figure = pages.thumbnail_source(entry)
        if figure:
            thumbnails[entry.name] = f"figures/{entry.name}-thumbnail.png"
            content = _thumbnail(root / figure)
            files.append(File.generated(config, f"recipes/{thumbnails[entry.name]}", content=content))
    sections = [
        f"## {pages.title_of(group.summary)}\n\n{pages.render_overview(group.entries, thumbnails)}"
        for group in groups.groups()
        if set(group.entries) <= set(entries)
    ]
    overview = "\n\n".join(["---\nhide: [toc]\n---", "# Recipes", INTRODUCTION, *sections])
    files.append(File.generated(config, "recipes/index.md", content=overview))
    for figure in sorted((root / "figures").glob("*.png")):
        files.append(File.generated(config, f"recipes/figures/{figure.name}", content=figure.read_bytes()))
        small = f"recipes/figures/{figure.stem}-small.png"  # for the course
        files.append(File.generated(config, small, content=_thumbnail(figure, SMALL)))
    return files


def _diagrams(name: str) -> list[tuple[str, Figure]]:
    return list(pages.network_diagrams(name).items())


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _thumbnail(path: Path, size: tuple[int, int] = THUMBNAIL) -> bytes:
    with Image.open(path) as image:
        image.thumbnail(size)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _source_url(config) -> str:
    """Return the address of the files in the repository, which `repo_url` of mkdocs.yml determines."""
    return f"{config.repo_url.rstrip('/')}/blob/main" if config.repo_url else ""


def _format_code(code: str) -> str:
    """Wrap lines of code that are too long for a page."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(LINE_LENGTH), "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=True).stdout
