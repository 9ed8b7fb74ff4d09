from __future__ import annotations

import types
from importlib import metadata
from pathlib import Path

import pytest

from deepkit.cli import doctor
from deepkit.recipe import discovery
from deepkit.utils import machine

BUILD = {"is_cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9"}


def raises(error):
    def call(*_):
        raise error

    return call


def test_python():
    assert doctor.check_python((3, 12, 1)).status == "ok"
    old = doctor.check_python((3, 10, 0))
    assert (old.status, "deepkit needs 3.11 to 3.13" in old.message) == ("fail", True)


def test_packages():
    versions = {"tensorflow": "2.21.0", "keras": "3.15.1"}
    declared = ["tensorflow<2.22,>=2.20", "keras<4,>=3.13", 'mkdocs>=1; extra == "docs"']
    assert doctor.check_packages(declared, versions.__getitem__) == doctor.CheckResult(
        "packages", "ok", "tensorflow 2.21.0, keras 3.15.1"
    )
    old = doctor.check_packages(declared, {**versions, "keras": "3.2.0"}.__getitem__)
    assert (old.status, old.hint) == ("fail", 'run pip install "keras<4,>=3.13"')
    gone = doctor.check_packages(["keras>=3"], raises(metadata.PackageNotFoundError("keras")))
    assert (gone.status, gone.message, gone.hint) == ("fail", "keras missing", 'run pip install "keras>=3"')


def test_this_installation_has_the_declared_versions():
    assert doctor.check_packages().status == "ok"


def test_tensorflow():
    broken = doctor.check_tensorflow(raises(ImportError("libfoo.so: cannot open")))
    assert (broken.status, broken.message) == ("fail", "ImportError: libfoo.so: cannot open")
    wrong = types.SimpleNamespace(reduce_sum=lambda x: 3.0, ones=lambda shape: None, __version__="2")
    assert doctor.check_tensorflow(lambda: wrong).status == "fail"
    assert doctor.check_tensorflow().status == "ok"


def test_processor(monkeypatch):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    assert doctor.check_cpu(["avx2", "fma", "avx512f"]).message.endswith("avx2, fma, avx512f")
    assert doctor.check_cpu(["sse4_2"]).status == "warn"
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    assert doctor.check_cpu(["asimd"]).status == "ok"


@pytest.mark.parametrize(
    ("has_card", "gpus", "missing", "build", "status", "text"),
    [
        (False, [], [], BUILD, "ok", "no NVIDIA card"),
        (True, ["NVIDIA H200"], [], BUILD, "ok", "NVIDIA H200 (CUDA 12.5.1, cuDNN 9)"),
        (True, ["NVIDIA H200"], ["NCCL (libnccl.so.2)"], BUILD, "warn", "cannot load NCCL (libnccl.so.2)"),
        (True, [], ["cuDNN (libcudnn.so.9)"], BUILD, "fail", "cuDNN (libcudnn.so.9) cannot be loaded"),
        (True, [], [], BUILD, "fail", "TensorFlow does not see it"),
        (True, [], [], {}, "warn", "this TensorFlow is built for CPUs only"),
        (False, [], [], {}, "ok", "built for CPUs only"),
    ],
)
def test_gpu(has_card, gpus, missing, build, status, text):
    result = doctor.check_gpu(has_card, gpus, missing, build)
    assert result.status == status
    assert text in result.message


def test_gpu_hints():
    assert doctor.check_gpu(True, [], ["cuDNN (libcudnn.so.9)"], BUILD).hint == 'run pip install "deepkit-keras[gpu]"'
    driver = doctor.check_gpu(True, [], ["the driver (libcuda.so.1)", "cuDNN (libcudnn.so.9)"], BUILD)
    assert driver.hint == "install NVIDIA's driver"


def test_library_versions_are_those_of_the_tensorflow_build():
    names = machine.libraries(BUILD)
    assert names["cuBLAS"] == "libcublas.so.12"
    assert names["cuDNN"] == "libcudnn.so.9"
    assert names["cuFFT"] == "libcufft.so.11"
    assert machine.libraries({"cuda_version": "13.0", "cudnn_version": "9"})["CUDA runtime"] == "libcudart.so.13"


def test_libraries_are_loaded_from_pip_packages_first():
    attempts = []

    def load(path: str) -> None:
        attempts.append(path)
        if path.startswith("/wheels") or "cudnn" in path:
            raise OSError(path)

    missing = machine.missing_libraries(BUILD, load, ["/wheels/lib"])
    assert missing == ["cuDNN (libcudnn.so.9)"]
    assert attempts[:2] == ["/wheels/lib/libcuda.so.1", "libcuda.so.1"]


def test_xla():
    assert doctor.check_xla(lambda: 6.0).status == "ok"
    assert doctor.check_xla(lambda: 5.0).status == "fail"
    broken = doctor.check_xla(raises(RuntimeError("no compiler\nlong story")))
    assert (broken.status, broken.message) == ("warn", "RuntimeError: no compiler")
    assert broken.hint == "use --jit-compile False"


def test_mixed_precision():
    assert "rarely faster" in doctor.check_mixed_precision(lambda dtype: 4.0, []).message
    assert "faster on this GPU" in doctor.check_mixed_precision(lambda dtype: 4.0, ["H200"]).message
    neither = doctor.check_mixed_precision(raises(RuntimeError()), [])
    assert (neither.status, neither.message) == ("warn", "neither bfloat16 nor float16 works")
    one = doctor.check_mixed_precision(lambda dtype: 4.0 if dtype == "bfloat16" else 0.0, [])
    assert (one.status, one.message) == ("warn", "only bfloat16 works")
    assert doctor.check_mixed_precision(gpus=[]).status == "ok"


def test_data(tmp_path):
    assert doctor.check_data(tmp_path / "none").status == "ok"
    assert doctor.check_data(tmp_path).message.endswith("no datasets yet")
    for path in ("mnist/3.0.1", "glue/mrpc/2.0.0"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "dataset_info.json").write_text("{}")
    assert doctor.check_data(tmp_path).message.endswith(": glue 0.00 GiB, mnist 0.00 GiB")
    file = tmp_path / "file"
    file.write_text("")
    assert doctor.check_data(file).status == "fail"


def test_a_read_only_data_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: mode != doctor.os.W_OK)
    assert doctor.check_data(tmp_path).status == "warn"


def test_the_flag_for_the_data_folder_precedes_the_environment_variable(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/there")
    assert doctor.data_folder() == Path("/there")
    assert doctor.data_folder(Path("/here")) == Path("/here")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert doctor.data_folder().name == "tensorflow_datasets"


@pytest.mark.parametrize(("free", "status"), [(0.5, "fail"), (2, "warn"), (20, "ok")])
def test_disk(tmp_path, free, status):
    assert doctor.check_disk(tmp_path / "not" / "there", int(free * doctor.GIB)).status == status


def test_network():
    assert doctor.check_network(lambda: True).status == "ok"
    assert "only prepared datasets and bundled digits are available" in doctor.check_network(lambda: False).message


def test_recipes():
    good, bad = discovery.RecipeEntry("a", "a"), discovery.RecipeEntry("b", "b", problem="gone")
    assert doctor.check_recipes([good]).message == "a"
    assert doctor.check_recipes([good, bad]).message == "cannot be loaded: b (gone)"
    assert doctor.check_recipes([]).status == "fail"


def test_an_exception_in_a_check_is_a_failure():
    result = doctor.run_check(raises(RuntimeError("oops")))
    assert (result.status, result.message) == ("fail", "the check raised RuntimeError: oops")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_exit_code_is_1_if_a_check_fails(monkeypatch, capsys, status, code):
    monkeypatch.setattr(
        doctor, "run_check", lambda check: doctor.CheckResult("name", status, "message [m]", "hint [h]")
    )
    assert doctor.run(doctor.Options()) == code
    output = capsys.readouterr().out
    assert "message [m]" in output
    assert "hint: hint [h]" in output
    assert ("failed: name" in output) == (status == "fail")
