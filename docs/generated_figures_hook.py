"""Hook of MkDocs that draws figures from data: the charts of the benchmarks, and the packages of the design."""

from pathlib import Path

from mkdocs.structure.files import File

from benchmarks import charts, gpu_charts, gpu_records, records, workers_charts, workers_records
from benchmarks.__main__ import RESULTS
from benchmarks.gpu import RESULTS as GPU_RESULTS
from benchmarks.workers import RESULTS as WORKERS_RESULTS
from docs import design_figures


def on_files(files, config):
    """Add the figures that pages refer to."""
    root = Path(config.config_file_path).parent
    figures = charts.charts(records.load(root / RESULTS))
    figures.update(gpu_charts.figures(gpu_records.load(root / GPU_RESULTS)))
    figures.update(workers_charts.figures(workers_records.load(root / WORKERS_RESULTS)))
    figures["figures/packages.svg"] = design_figures.svg(design_figures.packages())
    figures["figures/flow.svg"] = design_figures.svg(design_figures.flow())
    for path, content in figures.items():
        files.append(File.generated(config, path, content=content))
    return files
