"""What a result was measured on: the machine and the versions, in words."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = {"tensorflow": "tensorflow", "keras": "keras", "deepkit": "deepkit-keras", "numpy": "numpy"}


def versions() -> dict[str, str]:
    """Return the versions that matter to a result, without importing anything."""
    found = {"python": platform.python_version()}
    for name, distribution in PACKAGES.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def hardware() -> dict[str, str]:
    """Return processor, usable cores, memory and GPUs; the GPUs only once TensorFlow is loaded."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": cpu_model(), "cores": str(cores), "memory": memory(), "gpu": ", ".join(gpus()) or "none"}


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as the system tells it."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory() -> str:
    """Return the machine's memory, in GiB."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def gpus() -> list[str]:
    """Return the name of every GPU that TensorFlow sees; none while TensorFlow is not loaded."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return []
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in devices]


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the processor's instruction sets as Linux names them; none on other systems."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])


def has_card() -> bool:
    """Return whether the system shows an NVIDIA card to this process."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or Path("/proc/driver/nvidia/version").exists()


def libraries(build: Mapping[str, Any]) -> dict[str, str]:
    """Return what TensorFlow loads for a GPU: file by name, for the CUDA and cuDNN it was built with."""
    cuda = str(build.get("cuda_version", "12")).split(".")[0]
    cudnn = str(build.get("cudnn_version", "9")).split(".")[0]
    older = str(int(cuda) - 1)  # cuFFT and cuSOLVER count one behind CUDA
    return {
        "the driver": "libcuda.so.1",
        "CUDA runtime": f"libcudart.so.{cuda}",
        "cuDNN": f"libcudnn.so.{cudnn}",
        "cuBLAS": f"libcublas.so.{cuda}",
        "cuFFT": f"libcufft.so.{older}",
        "cuSOLVER": f"libcusolver.so.{older}",
        "cuSPARSE": f"libcusparse.so.{cuda}",
        "NCCL": "libnccl.so.2",
    }


def missing_libraries(
    build: Mapping[str, Any], load: Callable[[str], object] = ctypes.CDLL, wheels: Sequence[str] | None = None
) -> list[str]:
    """Return which of TensorFlow's GPU libraries can be loaded neither from pip's packages nor from the system."""
    folders = _nvidia_folders() if wheels is None else wheels
    return [f"{name} ({file})" for name, file in libraries(build).items() if not _loads(file, folders, load)]


def _loads(file: str, folders: Sequence[str], load: Callable[[str], object]) -> bool:
    for path in [*(os.path.join(folder, file) for folder in folders), file]:
        try:
            load(path)
            return True
        except OSError:
            continue
    return False


def _nvidia_folders() -> list[str]:
    return [folder for entry in sys.path for folder in glob.glob(os.path.join(entry, "nvidia", "*", "lib"))]
