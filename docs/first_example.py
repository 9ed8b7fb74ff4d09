"""Update what README.md and the landing page share: `python -m docs.first_example`, a part of `make docs-outputs`.

- The output below the first example of README.md is the committed output of the first fence of docs/index.md.
- The image of both pages is drawn from the run of that example: diagram, learning curves, misclassified images.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from docs.executed_pages.cell_outputs import ShownText, shown_outputs
from docs.executed_pages.committed import read_outputs
from docs.executed_pages.errors import PageError
from docs.executed_pages.source import Fence, Page, parse_page
from docs.executed_pages.workers import execute_pages

ROOT = Path(__file__).parents[1]
DOCS_DIR = ROOT / "docs"
README = ROOT / "README.md"
IMAGE = DOCS_DIR / "images" / "first_example.png"
BEGIN, END = "<!-- output:begin -->", "<!-- output:end -->"
COLORS = 256  # for a small file
DRAWING = """\
from PIL import Image

def draw(figure, height):
    dk.visualize.save(figure, "figure.png")
    image = Image.open("figure.png").convert("RGB")
    return image.resize((round(image.width * height / image.height), height), Image.LANCZOS)

diagram = draw(dk.visualize.diagram(run.model), 1000)
curves = draw(dk.visualize.curves(run.history), 400)
wrong = draw(dk.visualize.misclassified(run.model, data.test, count=8), 240)
wrong = wrong.resize((curves.width, wrong.height * curves.width // wrong.width), Image.LANCZOS)
gap = 60
left = diagram.width + gap
top = (diagram.height - curves.height - gap - wrong.height) // 2
canvas = Image.new("RGB", (left + curves.width, diagram.height), "white")
canvas.paste(diagram, (0, 0))
canvas.paste(curves, (left, top))
canvas.paste(wrong, (left, top + curves.height + gap))
display(canvas)
"""


def main() -> int:
    """Update the image if it is of other code, then the output in README.md."""
    page = landing_page()
    if image_sha256() != example_sha256(page):
        try:
            draw(page)
        except PageError as error:
            print(error, file=sys.stderr)
            return 1
    README.write_text(with_output(README.read_text(encoding="utf-8"), output_of_example(page)), encoding="utf-8")
    print("README.md has the output of its first example")
    return 0


def landing_page() -> Page:
    """Return the landing page of the documentation, whose first fence is the first example."""
    return parse_page((DOCS_DIR / "index.md").read_text(encoding="utf-8"), "index.md")


def example_sha256(page: Page) -> str:
    """Return the checksum of the code that the image is drawn from."""
    return _page_of_image(page).code_sha256


def image_sha256() -> str:
    """Return the checksum that the image holds, or an empty text without an image."""
    if not IMAGE.is_file():
        return ""
    with Image.open(IMAGE) as image:
        return image.info.get("code_sha256", "")


def draw(page: Page) -> None:
    """Execute the example and write the image, with the checksum of its code."""
    page = _page_of_image(page)
    (result,) = execute_pages([page], num_workers=1).values()
    if isinstance(result, PageError):
        raise result
    content = base64.b64decode(result.outputs[2][-1].data["image/png"])
    info = PngInfo()
    info.add_text("code_sha256", page.code_sha256)
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB").quantize(COLORS)
        small.save(IMAGE, "PNG", optimize=True, pnginfo=info)


def output_of_example(page: Page) -> str:
    """Return the committed output of the first example, shortened for README.md."""
    example = page.executed[0]
    (shown,) = shown_outputs(example, read_outputs(page, DOCS_DIR).outputs[example.number], page)
    assert isinstance(shown, ShownText)
    return shown.text


def with_output(text: str, output: str) -> str:
    """Return the text of README.md with this output between its two comments."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n```text\n{output}\n```\n{END}{after}"


def _page_of_image(page: Page) -> Page:
    drawing = Fence(2, 1, "", f"```python\n{DRAWING}```\n", DRAWING)
    return Page("first_example", (page.executed[0], drawing))


if __name__ == "__main__":
    sys.exit(main())
