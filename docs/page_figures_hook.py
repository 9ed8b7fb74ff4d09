"""Hook of MkDocs for the figures of a page: their natural width, and a link that opens the file.

A phone shows a diagram in its natural width and scrolls it, so that its text stays readable.
"""

import io
import posixpath
import re

from PIL import Image

FIGURE = re.compile(r"<p>(<img [^>]*>)</p>")
SOURCE = re.compile(r'\bsrc="([^":]+)"')
SVG_WIDTH = re.compile(rb'<svg[^>]*?\swidth="([\d.]+)(pt|px)?"')
PIXELS_PER_POINT = 4 / 3


def on_page_content(html, page, config, files):
    """Put each figure that stands alone in its paragraph into a frame."""
    if page.file.src_uri == "recipes/index.md":  # the figures of cards
        return html
    contents = {file.dest_uri: file for file in files}
    folder = posixpath.dirname(page.file.dest_uri)

    def frame(match):
        source = SOURCE.search(match[1])
        file = contents.get(posixpath.normpath(posixpath.join(folder, source[1]))) if source else None
        return framed(match[1], source[1], natural_width(file.content_bytes)) if file else match[0]

    return FIGURE.sub(frame, html)


def framed(image, source, width):
    """Return the frame of an image: a link to its file, and its natural width for the style sheet."""
    kind = "diagram" if source.endswith(".svg") else "image"
    link = f'<a href="{source}" title="Open the figure">{image}</a>'
    return f'<div class="figure figure-{kind}" style="--natural-width: {width}px">{link}</div>'


def natural_width(content):
    """Return the width of an image in pixels."""
    if svg := SVG_WIDTH.search(content):
        return round(float(svg[1]) * (PIXELS_PER_POINT if svg[2] == b"pt" else 1))
    with Image.open(io.BytesIO(content)) as image:
        return image.width
