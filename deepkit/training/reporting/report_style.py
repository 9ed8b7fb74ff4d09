"""The style sheet of the report: light and dark, for wide and narrow screens, in the colors of the documentation."""

from __future__ import annotations

LIGHT = {
    "page": "#ffffff",
    "text": "#1f2023",
    "muted": "#53565f",
    "accent": "#3547a6",
    "surface": "#f4f5f8",
    "border": "#dcdee5",
    "warning": "#8a4b00",
}
"""The colors of the light scheme; all texts have a contrast of at least 4.5 to `page` and `surface`."""

DARK = {
    "page": "#1e2129",
    "text": "#e2e4e9",
    "muted": "#b1b5c0",
    "accent": "#a5b4ff",
    "surface": "#282c36",
    "border": "#3d4250",
    "warning": "#ffc078",
}
"""The colors of the dark scheme."""

HEADER = {"background": "#4051b5", "text": "#ffffff"}
"""The colors of the bar at the top, in both schemes."""

_RULES = """
*, *::before, *::after { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 16px/1.6 Roboto, system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif }
header { background: var(--bar); color: var(--bar-text); padding: 1.6rem 0 1.5rem }
header p { margin: 0; max-width: 46rem }
main, header > div, footer { max-width: 61rem; margin: 0 auto; padding: 0 1.25rem }
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 500; margin: 0 0 .35rem; overflow-wrap: anywhere }
h2 { font-size: 1.35rem; line-height: 1.3; font-weight: 500; margin: 2.75rem 0 .75rem; padding-top: .25rem }
h3 { font-size: 1.05rem; line-height: 1.4; font-weight: 600; margin: 1.75rem 0 .5rem; overflow-wrap: anywhere }
p { margin: .5rem 0; max-width: 46rem }
a { color: var(--accent) }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: .9rem 0; border-bottom: 1px solid var(--border);
  font-size: .9rem }
nav a { text-decoration: none; padding: .15rem 0 }
nav a:hover { text-decoration: underline }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 .5rem; padding: 0 }
.numbers div { background: var(--surface); border: 1px solid var(--border); border-radius: .4rem; padding: .7rem .9rem;
  display: flex; flex-direction: column-reverse; justify-content: flex-end; min-width: 0 }
.numbers dt { color: var(--muted); font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere }
.numbers dd { margin: 0; font-size: 1.45rem; line-height: 1.3; font-weight: 500; font-variant-numeric: tabular-nums }
.note { color: var(--muted); font-size: .9rem }
.warning { border-left: .25rem solid var(--warning); padding: .2rem 0 .2rem .8rem; color: var(--warning) }
.scroll { overflow-x: auto; max-width: 100%; margin: .75rem 0 }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.45; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--muted); padding-bottom: .4rem }
th, td { text-align: start; vertical-align: top; padding: .4rem 1.1rem .4rem 0; border-bottom: 1px solid var(--border) }
thead th { font-weight: 600; white-space: nowrap; vertical-align: bottom }
tbody th { font-weight: 500 }
td.number, th.number { text-align: end; white-space: nowrap }
.name { display: inline-block; width: max-content; max-width: 18rem; white-space: normal;
  overflow-wrap: anywhere }
.facts { width: 100% } .facts th { width: 11rem; color: var(--muted); font-weight: 400 }
.facts td { overflow-wrap: anywhere }
tr.total th, tr.total td { border-top: 2px solid var(--border) } tr.total ~ tr.total th, tr.total ~ tr.total td {
  border-top: 0 }
.matrix { line-height: 1.2 }
.matrix th, .matrix td { border: 1px solid var(--border); padding: .35rem .5rem; text-align: center;
  vertical-align: middle; min-width: 2.4rem }
.matrix tbody th { text-align: end } .matrix thead th { white-space: normal; max-width: 7rem }
.matrix .name { max-width: 9rem } .matrix thead .name { max-width: 6rem }
.matrix .zero { color: var(--muted) } .matrix .correct { color: var(--muted) }
figure { margin: .75rem 0; min-width: 0 }
figcaption { font-size: .85rem; line-height: 1.45; color: var(--muted); margin-top: .35rem; overflow-wrap: anywhere }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: .3rem }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .5rem 1.25rem;
  align-items: start }
.panels img { width: 100%; max-width: 32rem }
.diagram img { max-width: max(100%, 42rem); padding: .4rem; margin: 0 auto }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1rem; list-style: none;
  margin: .75rem 0; padding: 0 }
.cards.texts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
.cards li { border: 1px solid var(--border); border-radius: .4rem; padding: .6rem; background: var(--surface);
  min-width: 0; font-size: .85rem; line-height: 1.45; overflow-wrap: anywhere }
.cards img { width: 100%; max-height: 12rem; object-fit: contain; image-rendering: pixelated; margin-bottom: .4rem }
.cards img.photo { image-rendering: auto }
.cards blockquote { margin: 0 0 .5rem; font-size: .95rem; white-space: pre-wrap }
.cards dl { margin: 0; display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0 .6rem }
.cards dt { color: var(--muted) } .cards dd { margin: 0 }
pre, code { font-family: "Roboto Mono", ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
code { font-size: .9em } pre { background: var(--surface); border: 1px solid var(--border); border-radius: .4rem;
  padding: .9rem 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.5; margin: .75rem 0 }
details { margin: .75rem 0 } summary { cursor: pointer; color: var(--accent) }
footer { color: var(--muted); font-size: .85rem; padding-top: 2.5rem; padding-bottom: 2rem }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
@media (max-width: 36rem) {
  h1 { font-size: 1.45rem } h2 { font-size: 1.2rem }
  .numbers { grid-template-columns: repeat(2, minmax(0, 1fr)) } .numbers dd { font-size: 1.2rem }
  .facts, .facts tbody, .facts tr, .facts th, .facts td { display: block; width: auto }
  .facts thead { display: none } .facts th { border: 0; padding-bottom: 0 } .facts td { padding-top: 0 }
  .facts td:not(:last-child) { border: 0; padding-bottom: 0 }
  .name { max-width: 9rem }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)) }
  .cards.texts { grid-template-columns: minmax(0, 1fr) }
}
@media print { header { color: #000; background: none } nav { display: none } }
"""


def style_sheet() -> str:
    """Return the style sheet."""
    bar = f"--bar: {HEADER['background']}; --bar-text: {HEADER['text']};"
    return (
        f":root {{ color-scheme: light dark; {bar} {_variables(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n{_RULES}"
    )


def _variables(colors: dict[str, str]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors.items())
