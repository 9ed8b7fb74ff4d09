"""The figures of a report: as images in the page, and as files in the run directory."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from deepkit.training.reporting import report_html as elements
from deepkit.visualize.figures import figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 130
_MAX_BYTES = 420_000  # of all figures in the page, before their encoding as text


class ReportFigures:
    """Collects the figures of a report."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        """The PNG images by the name of their file, without suffix."""
        self._num_bytes = 0

    def add(self, file: str, figure: Figure, alternative: str, caption: str = "") -> str:
        """Add a figure, and return it as HTML; if the page is large already, the path of its file.

        Args:
            file: Name of the file without suffix.
            figure: The figure.
            alternative: Text for readers who cannot see the figure.
            caption: The line below the figure.
        """
        content = self.store(file, figure)
        if self._num_bytes + len(content) > _MAX_BYTES:
            return elements.note(f"{alternative}: see figures/{_file_name(file)}.png.")
        self._num_bytes += len(content)
        return elements.figure(elements.image(content, alternative), caption)

    def store(self, file: str, figure: Figure) -> bytes:
        """Add a figure that only the run directory contains; return the PNG image."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a name with a character that the font does not contain
            content = figure_bytes(figure, "png", dpi=_DPI)
        self.contents[_file_name(file)] = content
        return content


def _file_name(text: str) -> str:
    """Return a text as the name of a file on every system."""
    return re.sub(r"[^\w.-]+", "_", text)[:80]
