"""The report of a run: one page that a person enjoys reading, with its pictures in it."""

from __future__ import annotations

import base64
import html
import io
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.training import autotune as measure
from deepkit.training.compile import Assembled
from deepkit.training.state import State
from deepkit.training.training_data import Feed
from deepkit.utils import large_files as files
from deepkit.utils import machine

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepkit.training.run_dir import RunDir

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #212529; background: #fff; max-width: 62rem; margin: 3rem auto;
       padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; color: #3b5bdb }
.lead { color: #495057; margin-top: 0 }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.4rem 0 }
.number { background: #f1f3f5; border-radius: .6rem; padding: .7rem 1.1rem; min-width: 7rem }
.number b { display: block; font-size: 1.5rem } .number span { color: #495057; font-size: .85rem }
table { border-collapse: collapse; font-size: .92rem } td, th { text-align: left; padding: .3rem 1rem .3rem 0;
       border-bottom: 1px solid #e9ecef; vertical-align: top }
img { max-width: 100%; height: auto } pre { background: #f8f9fa; padding: 1rem; border-radius: .6rem; overflow-x: auto;
       font-size: .82rem; line-height: 1.4 }
@media (prefers-color-scheme: dark) { body { background: #16181d; color: #dee2e6 } pre, .number { background: #22252b }
  .lead, .number span { color: #adb5bd } td, th { border-color: #343a40 }
  img { background: #fff; border-radius: .4rem } }
"""


def write(parts: Assembled, feed: Feed, last: State, folder: RunDir, resume: str) -> None:
    """Write `report.html` and the pictures of a finished run, each whole or not at all.

    Raises:
        OSError: A file could not be written; the run itself is kept already.
    """
    from deepkit.visualize.figures import png_bytes

    images = {}
    for name, caption, figure in _pictures(parts, feed, last):
        images[caption] = png_bytes(figure)
        folder.write(f"pictures/{name}.png", images[caption])
    with files.aside(folder.report) as path:
        path.write_text(_page(parts, feed, last, resume, images), encoding="utf-8")


def _pictures(parts: Assembled, feed: Feed, last: State) -> Iterator[tuple[str, str, Figure]]:
    """Yield file name, caption and figure of each picture that this model and its data allow."""
    from deepkit import visualize

    model, names, validation = parts.model, feed.class_names, feed.validation
    wanted: list[tuple[str, str, Callable[[], Figure]]] = [
        ("curves", "Learning curves", lambda: visualize.curves(last.history)),
        ("filters", "The first layer's filters", lambda: visualize.filters(model)),
    ]
    if validation is not None:
        wanted[1:1] = [
            (
                "confusion",
                "Which class was taken for which, on the validation part",
                lambda: visualize.confusion(model, validation, class_names=names),
            ),
            (
                "mistakes",
                "The worst mistakes on the validation part",
                lambda: visualize.misclassified(model, validation, class_names=names),
            ),
        ]
    for name, caption, draw in wanted:
        try:
            yield name, caption, draw()
        except (ValueError, TypeError, IndexError, AttributeError):
            continue  # a model without such weights, or data without classes, has no such picture


def _page(parts: Assembled, feed: Feed, last: State, resume: str, images: dict[str, bytes]) -> str:
    model = parts.model
    lead = f"{model.count_params():,} parameters; {last.epoch} epochs in {sum(last.seconds):.1f} s of training"
    body = [
        f"<h1>{_text(model.name)}</h1><p class='lead'>{_text(lead)}</p>",
        _numbers(last.history),
        *(_picture(caption, data) for caption, data in images.items()),
        "<h2>How it was trained</h2>",
        _table(_facts(parts, feed, resume)),
        "<h2>The plan, and why</h2>",
        _table([(field, f"{choice}: {why}" if why else choice) for field, choice, why in parts.plan.rows()]),
        _measured(parts),
        f"<h2>The definition</h2><pre>{_text(parts.definition)}</pre>",
        f"<h2>The layers</h2><pre>{_text(_summary(model))}</pre>",
    ]
    page = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<meta name='viewport' content='width=device-width'><title>{_text(model.name)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        *body,
        "</body></html>\n",
    ]
    return "".join(page)


def _measured(parts: Assembled) -> str:
    """Return the table of what was measured, or nothing."""
    if not parts.measured:
        return ""
    head = "".join(f"<th>{_text(name)}</th>" for name in measure.HEADINGS)
    rows = ("".join(f"<td>{_text(cell)}</td>" for cell in row.cells()) for row in parts.measured)
    return f"<h2>What was measured</h2><table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _facts(parts: Assembled, feed: Feed, resume: str) -> list[tuple[str, str]]:
    hardware = machine.hardware()
    command = _command(sys.orig_argv)
    return [
        *([("command", command)] if command else []),
        ("data", feed.origin),
        ("optimizer", parts.optimizer),
        ("loss", parts.loss),
        ("metrics", ", ".join(parts.metrics) or "none"),
        ("resume", resume),
        ("machine", f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}, GPU {hardware['gpu']}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.versions().items())),
    ]


def _command(arguments: Sequence[str]) -> str | None:
    """Return the command that does this again, without the folder its program lies in; None for a prompt."""
    program, *rest = arguments[1:] or [""]
    if program in ("", "-", "-c", "-i"):
        return None
    if program.startswith("-"):
        return shlex.join(["python", program, *rest])
    name = Path(program).name
    return shlex.join([*(["python"] if name.endswith(".py") else []), name, *rest])


def _numbers(history: dict[str, list[float]]) -> str:
    cards = [
        f"<div class='number'><b>{values[-1]:.4g}</b><span>{_text(_named(name))}</span></div>"
        for name, values in history.items()
        if values
    ]
    return f"<div class='numbers'>{''.join(cards)}</div>"


def _named(name: str) -> str:
    validation = name.startswith("val_")
    return f"{'validation' if validation else 'training'} {name.removeprefix('val_').replace('_', ' ')}"


def _picture(caption: str, data: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f"<h2>{_text(caption)}</h2><img alt='{_text(caption)}' src='{source}'>"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _summary(model: Any) -> str:
    out = io.StringIO()
    model.summary(print_fn=lambda line, line_break=False: out.write(line + "\n"))
    return out.getvalue()


def _text(value: str) -> str:
    return html.escape(str(value))
