"""The figures of the page on the design show every package and every step."""

from docs import design_figures
from tests.test_architecture import MODULES


def _texts(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_the_figure_of_the_packages_shows_every_package():
    packages = {name.split(".")[1] for name, path in MODULES.items() if path.name == "__init__.py" and "." in name}
    assert packages | {"recipes"} <= _texts(design_figures.packages())


def test_a_package_is_drawn_before_those_of_its_group_that_it_imports():
    imports = {"pattern": {"blocks", "utils"}, "blocks": {"models"}}
    assert design_figures.in_order(["blocks", "models", "pattern"], imports) == ["pattern", "blocks", "models"]
    assert design_figures.in_order(["b", "a"], {"a": {"b"}, "b": {"a"}}) == ["a", "b"]


def test_every_step_of_the_flow_is_drawn_and_connected():
    names = {name for name, *_ in design_figures.BOXES}
    assert {name for start, end, _ in design_figures.ARROWS for name in (start, end)} == names
    figure = design_figures.flow()
    assert {"definition", "plan", "fit", "run directory", "report.html"} <= _texts(figure)
    assert design_figures.svg(figure) == design_figures.svg(design_figures.flow())
