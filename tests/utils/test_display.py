"""The display of objects in notebooks: the registry of renderers, escaped texts, and renderers that fail."""

import importlib

import pytest

import deepkit as dk
from deepkit.utils import display
from deepkit.utils import html_fragments as fragments


class Broken(dk.Block):
    """A block whose code cannot be printed."""

    def add(self, x, builder):
        return x

    def __repr__(self):
        raise RuntimeError("no code")


def refuse(value):
    raise RuntimeError(f"<b>cannot draw</b> {type(value).__name__}")


@pytest.mark.parametrize("path", display.RENDERERS)
def test_every_entry_names_a_class_and_its_renderer(path):
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    assert issubclass(cls, display.Displayable)
    assert callable(display.renderer_of(cls))


def test_a_subclass_has_the_renderer_of_its_base_class():
    renderer = display.renderer_of(dk.Block)
    assert display.renderer_of(dk.ConvBlock) is renderer
    assert display.renderer_of(Broken) is renderer
    with pytest.raises(LookupError, match="int has no renderer"):
        display.renderer_of(int)


def test_a_renderer_that_fails_shows_the_repr_and_the_reason(monkeypatch):
    monkeypatch.setattr(display, "renderer_of", lambda cls: refuse)
    page = dk.plan(devices="CPU:0")._repr_html_()
    assert "Plan(devices=(&#x27;CPU:0&#x27;,)" in page
    assert "The display failed: RuntimeError: &lt;b&gt;cannot draw&lt;/b&gt; Plan" in page


def test_a_block_without_code_is_displayed():
    page = Broken()._repr_html_()
    assert "Broken" in page
    assert "The display failed: RuntimeError: no code" in page


def test_texts_are_escaped_and_take_the_colors_of_the_page():
    texts = ["<script>", '"quoted"']
    page = fragments.block(
        fragments.title(*texts),
        fragments.note("<script>"),
        fragments.warning("<script>"),
        fragments.code("<script>"),
        fragments.table([texts], texts),
        fragments.image(b"content", "image/png", '"><script>'),
        fragments.details("<script>", ""),
    )
    assert "<script>" not in page
    assert 'alt="&quot;&gt;&lt;script&gt;"' in page
    assert "color:inherit" in page
    assert "#fff" not in page
