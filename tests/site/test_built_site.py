"""The site that `make docs` builds has no broken links, no cut content, and texts that everyone can read."""

import pytest

from .findings import report
from .image_texts import check_images
from .internal_links import check_links
from .network_addresses import check_network
from .page_heads import check_heads
from .page_sizes import check_page_sizes

pytestmark = pytest.mark.slow
ANSWERS = {
    "class weight": ("tutorials/imbalanced_classes",),
    "sample weight": ("tutorials/imbalanced_classes",),
    "multi-label": ("tutorials/multi_label",),
    "transfer learning": ("tutorials/transfer_learning",),
    "pandas": ("tutorials/tables", "tables"),
    "TensorBoard": ("tutorials/training_practice",),
    "image folder": ("tutorials/images_from_folder",),
    "early stopping": ("tutorials/training_practice",),
    "overfitting": ("tutorials/",),
    "GPU": ("install", "devices"),
    "Colab": ("install",),
    "ONNX": ("tutorials/export_and_serving", "export"),
    "quantization": ("tutorials/export_and_serving", "keras_features"),
    "mixed precision": ("execution", "keras_features"),
    "k-fold": ("tutorials/model_selection",),
    "SLURM": ("clusters",),
    "Kubeflow": ("clusters",),
    "Hopfield": ("energy_models", "recipes/hopfield"),
    "Boltzmann machine": ("energy_models", "recipes/rbm"),
    "contrastive divergence": ("energy_models", "recipes/rbm"),
}


@pytest.mark.parametrize("check", [check_network, check_links, check_images, check_page_sizes, check_heads])
def test_the_files_of_the_site(check, site):
    findings = check(site)
    assert not findings, f"{len(findings)} findings\n{report(findings)}"


def test_the_pages_in_a_browser(site, browser):
    from .browser_checks import check_in_browser

    findings = check_in_browser(browser, site)
    assert not findings, f"{len(findings)} findings\n{report(findings)}"


def test_the_search_in_a_browser(site, browser):
    from .browser_search import check_search
    from .chromium import open_window

    with open_window(browser, site) as window:
        findings = [*check_search(window, "residual"), *check_search(window, "early stopping")]
    assert not findings, f"{len(findings)} findings\n{report(findings)}"


def test_the_search_answers_what_people_search_for(site, browser):
    from .browser_search import check_answers
    from .chromium import open_window

    with open_window(browser, site) as window:
        findings = check_answers(window, ANSWERS)
    assert not findings, f"{len(findings)} findings\n{report(findings)}"
