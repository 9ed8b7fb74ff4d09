"""The `deepkit doctor` command: check this machine and the installation, with a hint for each problem.

Each check is a small function that returns a `CheckResult`. The values that it inspects are optional arguments, so
that the tests can cover every result on any machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from rich.markup import escape

from deepkit.cli.check_result import CheckResult
from deepkit.recipe import discovery
from deepkit.utils import machine
from deepkit.utils.console import console

MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}
GPU_EXTRA = 'run pip install "deepkit-keras[gpu]"'
REINSTALL_TENSORFLOW = "run pip install --force-reinstall tensorflow"
GIB = 2**30
DATA_SERVER = "https://storage.googleapis.com/tfds-data/"


@dataclass(frozen=True)
class Options:
    """Check this machine and the installation; exit code 1 if a check fails."""

    data_dir: Path | None = None
    """Folder of prepared datasets; by default TFDS_DATA_DIR, or the default folder of TFDS."""
    cluster: bool = False
    """Check the connections between several workers instead; start it on all of them, as a training."""
    run_dir: Path | None = None
    """With --cluster, the folder for run directories, which all workers must share."""


def run(options: Options) -> int:
    """Run all checks, print each result at once, and return 1 if a check failed."""
    if options.cluster:
        from deepkit.cli import cluster_doctor

        return _report(cluster_doctor.check_cluster(options.run_dir))
    folder = data_folder(options.data_dir)
    checks: list[Callable[[], CheckResult]] = [
        check_python, check_packages, check_tensorflow, check_cpu, check_gpu, check_xla, check_mixed_precision,
        lambda: check_data(folder), lambda: check_disk(folder), check_network, check_recipes,
    ]  # fmt: skip
    return _report(run_check(check) for check in checks)


def _report(results: Iterable[CheckResult]) -> int:
    """Print each result at once, and return 1 if a check failed."""
    failed = []
    for result in results:
        print_result(result)
        if result.status == "fail":
            failed.append(result.name)
    console().print(f"\n[red]failed: {', '.join(failed)}[/]" if failed else "\n[green]everything needed works[/]")
    return 1 if failed else 0


def run_check(check: Callable[[], CheckResult]) -> CheckResult:
    """Run one check; an exception in a check is a failure, so that the other checks still run."""
    try:
        return check()
    except Exception as error:  # on a broken installation any exception is possible
        name = getattr(check, "__name__", "check").removeprefix("check_").replace("_", " ")
        problem = f"the check raised {type(error).__name__}: {error}"
        return CheckResult(name, "fail", problem, "report this as a bug")


def print_result(result: CheckResult) -> None:
    """Print the result of one check."""
    console().print(f"{MARKS[result.status]} [bold]{result.name}[/]: {escape(result.message)}")
    if result.hint:
        console().print(f"     hint: {escape(result.hint)}")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> CheckResult:
    """Check that deepkit supports this version of Python."""
    text = f"{'.'.join(map(str, version))} at {sys.executable}"
    if (3, 11) <= version[:2] < (3, 14):
        return CheckResult("python", "ok", text)
    hint = "create a virtual environment with Python 3.12"
    return CheckResult("python", "fail", f"{text}; deepkit needs 3.11 to 3.13", hint)


def check_packages(
    declared: Iterable[str] | None = None, installed: Callable[[str], str] = metadata.version
) -> CheckResult:
    """Check the version of every declared dependency."""
    from packaging.requirements import Requirement

    lines = (metadata.requires("deepkit-keras") or []) if declared is None else declared
    requirements = [Requirement(line) for line in lines]
    versions, wrong = [], []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = installed(requirement.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        versions.append(f"{requirement.name} {version}")
        if version == "missing" or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f'"{requirement.name}{requirement.specifier}"')
    if wrong:
        return CheckResult("packages", "fail", ", ".join(versions), f"run pip install {' '.join(wrong)}")
    return CheckResult("packages", "ok", ", ".join(versions))


def check_tensorflow(load: Callable[[], ModuleType] | None = None) -> CheckResult:
    """Check that TensorFlow can be imported and computes a sum."""
    try:
        tf = _tensorflow() if load is None else load()
        total = float(tf.reduce_sum(tf.ones((2, 2))))
    except Exception as error:
        return CheckResult("tensorflow", "fail", f"{type(error).__name__}: {error}", REINSTALL_TENSORFLOW)
    if total != 4.0:
        return CheckResult("tensorflow", "fail", f"the sum of four ones is {total}", REINSTALL_TENSORFLOW)
    return CheckResult("tensorflow", "ok", f"{tf.__version__} works")


def check_cpu(flags: Iterable[str] | None = None) -> CheckResult:
    """Check that the CPU has the vector instructions that make training fast."""
    available = set(machine.cpu_flags() if flags is None else flags)
    hardware = machine.hardware()
    text = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}"
    if not available or platform.machine().lower() not in ("x86_64", "amd64"):
        return CheckResult("cpu", "ok", text)
    fast = [name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if name in available]
    if "avx2" in fast and "fma" in fast:
        return CheckResult("cpu", "ok", f"{text}; {', '.join(fast)}")
    return CheckResult("cpu", "warn", f"{text}; without AVX2 and FMA, training is several times slower")


def check_gpu(
    has_card: bool | None = None,
    gpus: Sequence[str] | None = None,
    missing: Sequence[str] | None = None,
    build: Mapping[str, object] | None = None,
) -> CheckResult:
    """Check the NVIDIA card, the libraries that TensorFlow needs for it, and whether TensorFlow uses it."""
    has_card = machine.has_card() if has_card is None else has_card
    gpus = machine.gpus() if gpus is None else gpus
    build = _build_info() if build is None else build
    versions = f"CUDA {build.get('cuda_version', '?')}, cuDNN {build.get('cudnn_version', '?')}"
    if not build.get("is_cuda_build", False):
        text = "this TensorFlow is built for CPUs only"
        return CheckResult("gpu", "warn" if has_card else "ok", f"an NVIDIA card, but {text}" if has_card else text)
    if not has_card and not gpus:
        text = f"no NVIDIA card: training runs on the CPU (this TensorFlow supports {versions})"
        return CheckResult("gpu", "ok", text)
    missing = machine.missing_libraries(build) if missing is None else missing
    if gpus:
        text = f"{', '.join(gpus)} ({versions})"
        if missing:
            return CheckResult("gpu", "warn", f"{text}; cannot load {', '.join(missing)}", GPU_EXTRA)
        return CheckResult("gpu", "ok", text)
    if missing:
        lacks_driver = any(name.startswith("the driver") for name in missing)
        hint = "install NVIDIA's driver" if lacks_driver else GPU_EXTRA
        return CheckResult("gpu", "fail", f"an NVIDIA card, but {', '.join(missing)} cannot be loaded", hint)
    text = f"an NVIDIA card and its libraries, but TensorFlow does not see it ({versions})"
    return CheckResult("gpu", "fail", text, "run deepkit doctor --traceback to see TensorFlow's messages")


def check_xla(compiled_sum: Callable[[], float] | None = None) -> CheckResult:
    """Check that XLA compiles and runs a small function."""
    hint = "use --jit-compile False"
    try:
        value = _compiled_sum() if compiled_sum is None else compiled_sum()
    except Exception as error:
        return CheckResult("xla", "warn", f"{type(error).__name__}: {_first_line(error)}", hint)
    if value != 6.0:
        return CheckResult("xla", "fail", f"the sum of 1, 2 and 3 is {value}", hint)
    return CheckResult("xla", "ok", "compiles and runs")


def check_mixed_precision(
    product: Callable[[str], float] | None = None, gpus: Sequence[str] | None = None
) -> CheckResult:
    """Check that TensorFlow computes in half precision, and report whether it makes training faster."""
    gpus = machine.gpus() if gpus is None else gpus
    product = _half_precision_product if product is None else product
    supported = []
    for dtype in ("bfloat16", "float16"):
        try:
            if product(dtype) == 4.0:
                supported.append(dtype)
        except Exception:  # any exception means that this dtype is not supported
            continue
    if len(supported) < 2:
        text = f"only {supported[0]} works" if supported else "neither bfloat16 nor float16 works"
        return CheckResult("mixed precision", "warn", text, "use --precision float32")
    speed = "faster on this GPU" if gpus else "rarely faster on a CPU, where float32 is the default"
    return CheckResult("mixed precision", "ok", f"bfloat16 and float16 work; {speed}")


def data_folder(data_dir: Path | None = None) -> Path:
    """Return the first folder where `dk.data.load` searches for prepared datasets."""
    return data_dir or Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()


def check_data(folder: Path) -> CheckResult:
    """Check that the data folder is readable and writable, and list its datasets."""
    if not folder.exists():
        return CheckResult("data", "ok", f"{folder} does not exist yet; the first download creates it")
    if not folder.is_dir() or not os.access(folder, os.R_OK):
        return CheckResult("data", "fail", f"{folder} is not a readable folder", "set TFDS_DATA_DIR=/another/folder")
    datasets = {path.parents[1] for path in folder.glob("*/*/dataset_info.json")}
    datasets |= {path.parents[2] for path in folder.glob("*/*/*/dataset_info.json")}
    sizes = [f"{path.name} {_size(path) / GIB:.2f} GiB" for path in sorted(datasets)]
    text = f"{folder}: {', '.join(sizes) or 'no datasets yet'}"
    if not os.access(folder, os.W_OK):
        hint = "set TFDS_DATA_DIR=/another/folder to download more"
        return CheckResult("data", "warn", f"{text}; read-only, so no dataset can be added", hint)
    return CheckResult("data", "ok", text)


def check_disk(folder: Path, free: int | None = None) -> CheckResult:
    """Check that there is disk space for datasets and runs: at least 1 GiB, better 5 GiB."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free if free is None else free
    text = f"{free / GIB:.1f} GiB free at {existing}"
    if free < GIB:
        return CheckResult("disk", "fail", text, "set TFDS_DATA_DIR to a folder on a larger disk")
    return CheckResult("disk", "ok" if free >= 5 * GIB else "warn", text)


def check_network(is_reachable: Callable[[], bool] | None = None) -> CheckResult:
    """Check, within seconds, whether datasets can be downloaded."""
    if (_is_reachable if is_reachable is None else is_reachable)():
        return CheckResult("network", "ok", "datasets can be downloaded")
    text = "the server of the datasets cannot be reached: only prepared datasets and bundled digits are available"
    return CheckResult("network", "warn", text, "set HTTPS_PROXY, or TFDS_DATA_DIR to a folder of prepared datasets")


def check_recipes(entries: Sequence[discovery.RecipeEntry] | None = None) -> CheckResult:
    """Check that recipes are installed and can be loaded."""
    entries = discovery.entries() if entries is None else entries
    broken = [f"{entry.name} ({entry.problem})" for entry in entries if entry.problem]
    if broken:
        text = f"cannot be loaded: {', '.join(broken)}"
        return CheckResult("recipes", "warn", text, "reinstall the package of these recipes")
    if not entries:
        hint = "run pip install --force-reinstall deepkit-keras"
        return CheckResult("recipes", "fail", "no recipes are installed", hint)
    return CheckResult("recipes", "ok", ", ".join(entry.name for entry in entries))


def _tensorflow() -> ModuleType:
    import tensorflow as tf

    return tf


def _build_info() -> Mapping[str, object]:
    try:
        return dict(_tensorflow().sysconfig.get_build_info())
    except ImportError:
        return {}


def _compiled_sum() -> float:
    tf = _tensorflow()
    return float(tf.function(lambda x: tf.reduce_sum(x), jit_compile=True)(tf.constant([1.0, 2.0, 3.0])))


def _half_precision_product(dtype: str) -> float:
    tf = _tensorflow()
    ones = tf.ones((4, 4), getattr(tf, dtype))
    return float((ones @ ones)[0, 0])


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _is_reachable() -> bool:
    from deepkit.data import download  # imported here: it needs TensorFlow, which may be broken

    return download.is_reachable([DATA_SERVER])
