"""What works on this machine, and how to mend what does not.

Each check is a small function that returns one `Check`; what it looks at can be given, so that each of its
answers can be tested on any machine.
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
from typing import Any, Literal

from rich.markup import escape

from deepkit.recipe import discovery
from deepkit.utils import machine
from deepkit.utils.console import console

State = Literal["ok", "warn", "fail"]
MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}
GPU_EXTRA = 'pip install "deepkit-keras[gpu]"'
GIB = 2**30
DATA_SERVER = "https://storage.googleapis.com/tfds-data/"


@dataclass(frozen=True)
class Options:
    """Say what works on this machine, and how to mend what does not; exit code 1 if something failed."""

    data_dir: Path | None = None
    """Folder of prepared data sets to look at; TFDS_DATA_DIR or the TFDS default where not given."""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Args:
        name: What was looked at.
        state: "fail" when something that deepkit needs does not work, "warn" when something is missing out.
        finding: What was found.
        hint: What to do about it; empty when nothing is to be done.
    """

    name: str
    state: State
    finding: str
    hint: str = ""


def examine(options: Options) -> int:
    """Run every check, print each as it comes, and return 1 if one failed."""
    folder = data_folder(options.data_dir)
    checks: list[Callable[[], Check]] = [
        python, packages, tensorflow, processor, gpu, xla, mixed_precision,
        lambda: prepared_data(folder), lambda: disk(folder), network, recipes,
    ]  # fmt: skip
    done = []
    for check in checks:
        done.append(guarded(check))
        show(done[-1])
    failed = [check.name for check in done if check.state == "fail"]
    console().print(f"\n[red]failed: {', '.join(failed)}[/]" if failed else "\n[green]everything needed works[/]")
    return 1 if failed else 0


def guarded(check: Callable[[], Check]) -> Check:
    """Run one check; a check that breaks is itself a finding, and must not hide the others."""
    try:
        return check()
    except Exception as error:  # a doctor is called when anything may be wrong
        name = getattr(check, "__name__", "check").replace("_", " ")
        return Check(name, "fail", f"the check broke: {type(error).__name__}: {error}", "report this as a bug")


def show(check: Check) -> None:
    """Print one check."""
    console().print(f"{MARKS[check.state]} [bold]{check.name}[/]: {escape(check.finding)}")
    if check.hint:
        console().print(f"     hint: {escape(check.hint)}")


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check that this Python is one that deepkit is made for."""
    text = f"{'.'.join(map(str, version))} at {sys.executable}"
    if (3, 11) <= version[:2] < (3, 14):
        return Check("python", "ok", text)
    return Check("python", "fail", f"{text}; deepkit needs 3.11 to 3.13", "a virtual environment of Python 3.12")


def packages(declared: Iterable[str] | None = None, installed: Callable[[str], str] = metadata.version) -> Check:
    """Check every declared dependency against its range."""
    from packaging.requirements import Requirement

    lines = (metadata.requires("deepkit-keras") or []) if declared is None else declared
    needed = [Requirement(line) for line in lines]
    found, wrong = [], []
    for requirement in [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]:
        try:
            version = installed(requirement.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        found.append(f"{requirement.name} {version}")
        if version == "missing" or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f'"{requirement.name}{requirement.specifier}"')
    if wrong:
        return Check("packages", "fail", f"{', '.join(found)}", f"pip install {' '.join(wrong)}")
    return Check("packages", "ok", ", ".join(found))


def tensorflow(load: Callable[[], Any] | None = None) -> Check:
    """Check that TensorFlow can be imported and computes."""
    try:
        tf = _tensorflow() if load is None else load()
        total = float(tf.reduce_sum(tf.ones((2, 2))))
    except Exception as error:
        return Check(
            "tensorflow", "fail", f"{type(error).__name__}: {error}", "pip install --force-reinstall tensorflow"
        )
    if total != 4.0:
        return Check("tensorflow", "fail", f"1+1+1+1 gave {total}", "pip install --force-reinstall tensorflow")
    return Check("tensorflow", "ok", f"{tf.__version__}, computes")


def processor(flags: Iterable[str] | None = None) -> Check:
    """Check for the vector instructions that make training on this processor fast."""
    known = set(machine.cpu_flags() if flags is None else flags)
    hardware = machine.hardware()
    text = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory']}"
    if not known or platform.machine().lower() not in ("x86_64", "amd64"):
        return Check("processor", "ok", text)
    fast = [name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if name in known]
    if "avx2" in fast and "fma" in fast:
        return Check("processor", "ok", f"{text}; {', '.join(fast)}")
    return Check("processor", "warn", f"{text}; without AVX2 and FMA, so training is several times slower")


def gpu(
    card: bool | None = None,
    seen: Sequence[str] | None = None,
    missing: Sequence[str] | None = None,
    build: Mapping[str, Any] | None = None,
) -> Check:
    """Check the NVIDIA card, the libraries TensorFlow needs for it, by name, and whether TensorFlow uses it."""
    card = machine.has_card() if card is None else card
    seen = machine.gpus() if seen is None else seen
    build = _build_info() if build is None else build
    wanted = f"CUDA {build.get('cuda_version', '?')}, cuDNN {build.get('cudnn_version', '?')}"
    if not build.get("is_cuda_build", False):
        return Check(
            "gpu", "warn" if card else "ok", f"{'a card, but ' if card else ''}this TensorFlow is for processors only"
        )
    if not card and not seen:
        return Check(
            "gpu", "ok", f"no NVIDIA card: training runs on the processor (this TensorFlow could use {wanted})"
        )
    missing = machine.missing_libraries(build) if missing is None else missing
    if seen:
        text = f"{', '.join(seen)} ({wanted})"
        lacking = f"; cannot load {', '.join(missing)}" if missing else ""
        return Check("gpu", "warn" if missing else "ok", text + lacking, GPU_EXTRA if missing else "")
    if missing:
        driver = [name for name in missing if name.startswith("the driver")]
        hint = "installing NVIDIA's driver" if driver else GPU_EXTRA
        return Check("gpu", "fail", f"an NVIDIA card, but {', '.join(missing)} cannot be loaded", hint)
    return Check("gpu", "fail", f"an NVIDIA card and its libraries, but TensorFlow does not see it ({wanted})",
                 "TF_CPP_MIN_LOG_LEVEL=0 deepkit doctor, which shows TensorFlow's own reason")  # fmt: skip


def xla(compiled: Callable[[], float] | None = None) -> Check:
    """Check that XLA compiles and runs a small function."""
    try:
        value = _compiled_sum() if compiled is None else compiled()
    except Exception as error:
        return Check("xla", "warn", f"{type(error).__name__}: {_first(error)}", "--jit-compile False")
    if value != 6.0:
        return Check("xla", "fail", f"1+2+3 gave {value}", "--jit-compile False")
    return Check("xla", "ok", "compiles and runs")


def mixed_precision(compute: Callable[[str], float] | None = None, seen: Sequence[str] | None = None) -> Check:
    """Check that half precision computes, and say where it pays."""
    seen = machine.gpus() if seen is None else seen
    works = []
    for dtype in ("bfloat16", "float16"):
        try:
            if (_half_product if compute is None else compute)(dtype) == 4.0:
                works.append(dtype)
        except Exception:  # any failure means the same: this dtype is not to be had
            continue
    if len(works) < 2:
        return Check(
            "mixed precision", "warn", f"computes in {', '.join(works) or 'neither half type'}", "--precision float32"
        )
    pays = "pays on this GPU" if seen else "rarely pays on a processor; float32 is the default there"
    return Check("mixed precision", "ok", f"bfloat16 and float16 compute; {pays}")


def data_folder(given: Path | None = None) -> Path:
    """Return where prepared data sets are looked for first."""
    return given or Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets").expanduser()


def prepared_data(folder: Path) -> Check:
    """Check that the data folder can be read and written, and list the data sets prepared in it."""
    if not folder.exists():
        return Check("data", "ok", f"{folder} is not there yet; it is made at the first download")
    if not folder.is_dir() or not os.access(folder, os.R_OK):
        return Check("data", "fail", f"{folder} is not a folder that can be read", "TFDS_DATA_DIR=/another/folder")
    sets = {f.parents[1] for f in folder.glob("*/*/dataset_info.json")} | {
        f.parents[2] for f in folder.glob("*/*/*/dataset_info.json")
    }
    sizes = [f"{path.name} {_size(path) / GIB:.2f} GiB" for path in sorted(sets)]
    text = f"{folder}: {', '.join(sizes) or 'nothing prepared yet'}"
    if not os.access(folder, os.W_OK):
        return Check(
            "data", "warn", f"{text}; read-only, so nothing can be added", "TFDS_DATA_DIR=/another/folder for more"
        )
    return Check("data", "ok", text)


def disk(folder: Path, free: int | None = None) -> Check:
    """Check that there is room for data sets and runs, 5 GiB being comfortable and 1 GiB the least."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    room = shutil.disk_usage(place).free if free is None else free
    text = f"{room / GIB:.1f} GiB free at {place}"
    if room < GIB:
        return Check("disk", "fail", text, "TFDS_DATA_DIR on a larger disk")
    return Check("disk", "ok" if room >= 5 * GIB else "warn", text)


def network(reach: Callable[[], bool] | None = None) -> Check:
    """Check, within seconds, whether data sets can be downloaded."""
    if (_reachable if reach is None else reach)():
        return Check("network", "ok", "data sets can be downloaded")
    return Check("network", "warn", "the data sets' server cannot be reached: prepared data and bundled digits only",
                 "a proxy (HTTPS_PROXY), or a prepared folder (TFDS_DATA_DIR)")  # fmt: skip


def recipes(entries: Sequence[discovery.RecipeEntry] | None = None) -> Check:
    """Check that recipes are installed and can be read."""
    every = discovery.entries() if entries is None else entries
    broken = [f"{entry.name} ({entry.problem})" for entry in every if entry.problem]
    if broken:
        return Check(
            "recipes", "warn", f"cannot be used: {', '.join(broken)}", "reinstalling the package they come from"
        )
    if not every:
        return Check("recipes", "fail", "none found", "pip install --force-reinstall deepkit-keras")
    return Check("recipes", "ok", ", ".join(entry.name for entry in every))


def _tensorflow() -> Any:
    import tensorflow as tf

    return tf


def _build_info() -> Mapping[str, Any]:
    try:
        return dict(_tensorflow().sysconfig.get_build_info())
    except ImportError:
        return {}


def _compiled_sum() -> float:
    tf = _tensorflow()
    return float(tf.function(lambda x: tf.reduce_sum(x), jit_compile=True)(tf.constant([1.0, 2.0, 3.0])))


def _half_product(dtype: str) -> float:
    tf = _tensorflow()
    ones = tf.ones((4, 4), getattr(tf, dtype))
    return float((ones @ ones)[0, 0])


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def _reachable() -> bool:
    from deepkit.data.download import is_reachable  # here: it needs TensorFlow, which may be what is broken

    return is_reachable([DATA_SERVER])
