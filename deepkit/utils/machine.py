"""Hardware and package versions of this machine, as recorded with every result."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

PACKAGES = {"tensorflow": "tensorflow", "keras": "keras", "deepkit": "deepkit-keras", "numpy": "numpy"}
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")  # their Linux names


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a result, without importing them."""
    result = {"python": platform.python_version()}
    for name, distribution in PACKAGES.items():
        try:
            result[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            result[name] = "unknown"
    return result


def hardware() -> dict[str, str]:
    """Return CPU, usable cores, memory and GPUs; there are no GPUs before TensorFlow is imported."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": cpu_model(), "cores": str(cores), "memory": memory(), "gpu": ", ".join(gpus()) or "none"}


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the CPU."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory() -> str:
    """Return the size of the memory in GiB."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def gpus() -> list[str]:
    """Return the name of every GPU that TensorFlow sees; an empty list before TensorFlow is imported."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return []
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in devices]


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return the instruction sets of the CPU by their Linux names; an empty list on other systems."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])


def bfloat16_flags() -> list[str]:
    """Return the instruction sets of the CPU for products of bfloat16 numbers; empty if it has none."""
    return [flag for flag in cpu_flags() if flag in BFLOAT16_FLAGS]


def has_card() -> bool:
    """Return whether this process can see an NVIDIA card."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or Path("/proc/driver/nvidia/version").exists()


def libraries(build: Mapping[str, object]) -> dict[str, str]:
    """Return the files of the libraries that TensorFlow loads for a GPU, by name.

    Args:
        build: TensorFlow's build info, with the versions of CUDA and cuDNN.
    """
    cuda = str(build.get("cuda_version", "12")).split(".")[0]
    cudnn = str(build.get("cudnn_version", "9")).split(".")[0]
    previous = str(int(cuda) - 1)  # the version of cuFFT and cuSOLVER is one lower than that of CUDA
    return {
        "the driver": "libcuda.so.1",
        "CUDA runtime": f"libcudart.so.{cuda}",
        "cuDNN": f"libcudnn.so.{cudnn}",
        "cuBLAS": f"libcublas.so.{cuda}",
        "cuFFT": f"libcufft.so.{previous}",
        "cuSOLVER": f"libcusolver.so.{previous}",
        "cuSPARSE": f"libcusparse.so.{cuda}",
        "NCCL": "libnccl.so.2",
    }


def missing_libraries(
    build: Mapping[str, object], load: Callable[[str], object] = ctypes.CDLL, folders: Sequence[str] | None = None
) -> list[str]:
    """Return the GPU libraries that can be loaded neither from the packages of pip nor from the system."""
    folders = _nvidia_folders() if folders is None else folders
    return [f"{name} ({file})" for name, file in libraries(build).items() if not _can_load(file, folders, load)]


def _can_load(file: str, folders: Sequence[str], load: Callable[[str], object]) -> bool:
    for path in [*(os.path.join(folder, file) for folder in folders), file]:
        try:
            load(path)
            return True
        except OSError:
            continue
    return False


def _nvidia_folders() -> list[str]:
    return [folder for path in sys.path for folder in glob.glob(os.path.join(path, "nvidia", "*", "lib"))]
