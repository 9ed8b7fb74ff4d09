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
    assert doctor.python((3, 12, 1)).state == "ok"
    old = doctor.python((3, 10, 0))
    assert (old.state, "deepkit needs 3.11 to 3.13" in old.finding) == ("fail", True)


def test_packages():
    versions = {"tensorflow": "2.21.0", "keras": "3.15.1"}
    declared = ["tensorflow<2.22,>=2.20", "keras<4,>=3.13", 'mkdocs>=1; extra == "docs"']
    assert doctor.packages(declared, versions.__getitem__) == doctor.Check(
        "packages", "ok", "tensorflow 2.21.0, keras 3.15.1"
    )
    old = doctor.packages(declared, {**versions, "keras": "3.2.0"}.__getitem__)
    assert (old.state, old.hint) == ("fail", 'pip install "keras<4,>=3.13"')
    gone = doctor.packages(["keras>=3"], raises(metadata.PackageNotFoundError("keras")))
    assert (gone.state, gone.finding, gone.hint) == ("fail", "keras missing", 'pip install "keras>=3"')


def test_this_installation_is_within_its_declared_ranges():
    assert doctor.packages().state == "ok"


def test_tensorflow():
    broken = doctor.tensorflow(raises(ImportError("libfoo.so: cannot open")))
    assert (broken.state, broken.finding) == ("fail", "ImportError: libfoo.so: cannot open")
    wrong = types.SimpleNamespace(reduce_sum=lambda x: 3.0, ones=lambda shape: None, __version__="2")
    assert doctor.tensorflow(lambda: wrong).state == "fail"
    assert doctor.tensorflow().state == "ok"


def test_processor(monkeypatch):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    assert doctor.processor(["avx2", "fma", "avx512f"]).finding.endswith("avx2, fma, avx512f")
    assert doctor.processor(["sse4_2"]).state == "warn"
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    assert doctor.processor(["asimd"]).state == "ok"


@pytest.mark.parametrize(
    ("card", "seen", "missing", "build", "state", "text"),
    [
        (False, [], [], BUILD, "ok", "no NVIDIA card"),
        (True, ["NVIDIA H200"], [], BUILD, "ok", "NVIDIA H200 (CUDA 12.5.1, cuDNN 9)"),
        (True, ["NVIDIA H200"], ["NCCL (libnccl.so.2)"], BUILD, "warn", "cannot load NCCL (libnccl.so.2)"),
        (True, [], ["cuDNN (libcudnn.so.9)"], BUILD, "fail", "cuDNN (libcudnn.so.9) cannot be loaded"),
        (True, [], [], BUILD, "fail", "TensorFlow does not see it"),
        (True, [], [], {}, "warn", "this TensorFlow is for processors only"),
        (False, [], [], {}, "ok", "for processors only"),
    ],
)
def test_gpu(card, seen, missing, build, state, text):
    check = doctor.gpu(card, seen, missing, build)
    assert check.state == state
    assert text in check.finding


def test_gpu_says_how_to_mend():
    assert doctor.gpu(True, [], ["cuDNN (libcudnn.so.9)"], BUILD).hint == 'pip install "deepkit-keras[gpu]"'
    driver = doctor.gpu(True, [], ["the driver (libcuda.so.1)", "cuDNN (libcudnn.so.9)"], BUILD)
    assert driver.hint.startswith("installing NVIDIA's driver")


def test_libraries_follow_the_versions_tensorflow_was_built_with():
    names = machine.libraries(BUILD)
    assert names["cuBLAS"] == "libcublas.so.12"
    assert names["cuDNN"] == "libcudnn.so.9"
    assert names["cuFFT"] == "libcufft.so.11"
    assert machine.libraries({"cuda_version": "13.0", "cudnn_version": "9"})["CUDA runtime"] == "libcudart.so.13"


def test_missing_libraries_are_looked_for_in_pips_packages_first():
    tried = []

    def load(path: str) -> None:
        tried.append(path)
        if path.startswith("/wheels") or "cudnn" in path:
            raise OSError(path)

    missing = machine.missing_libraries(BUILD, load, ["/wheels/lib"])
    assert missing == ["cuDNN (libcudnn.so.9)"]
    assert tried[:2] == ["/wheels/lib/libcuda.so.1", "libcuda.so.1"]


def test_xla():
    assert doctor.xla(lambda: 6.0).state == "ok"
    assert doctor.xla(lambda: 5.0).state == "fail"
    broken = doctor.xla(raises(RuntimeError("no compiler\nlong story")))
    assert (broken.state, broken.finding) == ("warn", "RuntimeError: no compiler")
    assert broken.hint == "--jit-compile False"


def test_mixed_precision():
    assert "rarely pays" in doctor.mixed_precision(lambda dtype: 4.0, []).finding
    assert "pays on this GPU" in doctor.mixed_precision(lambda dtype: 4.0, ["H200"]).finding
    assert doctor.mixed_precision(raises(RuntimeError()), []).state == "warn"
    assert doctor.mixed_precision(seen=[]).state == "ok"


def test_prepared_data(tmp_path):
    assert doctor.prepared_data(tmp_path / "none").state == "ok"
    assert doctor.prepared_data(tmp_path).finding.endswith("nothing prepared yet")
    for path in ("mnist/3.0.1", "glue/mrpc/2.0.0"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "dataset_info.json").write_text("{}")
    assert doctor.prepared_data(tmp_path).finding.endswith(": glue 0.00 GiB, mnist 0.00 GiB")
    file = tmp_path / "file"
    file.write_text("")
    assert doctor.prepared_data(file).state == "fail"


def test_prepared_data_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: mode != doctor.os.W_OK)
    assert doctor.prepared_data(tmp_path).state == "warn"


def test_the_data_folder_follows_flag_then_variable(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/there")
    assert doctor.data_folder() == Path("/there")
    assert doctor.data_folder(Path("/here")) == Path("/here")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert doctor.data_folder().name == "tensorflow_datasets"


@pytest.mark.parametrize(("free", "state"), [(0.5, "fail"), (2, "warn"), (20, "ok")])
def test_disk(tmp_path, free, state):
    assert doctor.disk(tmp_path / "not" / "there", int(free * doctor.GIB)).state == state


def test_network():
    assert doctor.network(lambda: True).state == "ok"
    assert "prepared data and bundled digits only" in doctor.network(lambda: False).finding


def test_recipes():
    good, bad = discovery.RecipeEntry("a", "a"), discovery.RecipeEntry("b", "b", problem="gone")
    assert doctor.recipes([good]).finding == "a"
    assert doctor.recipes([good, bad]).finding == "cannot be used: b (gone)"
    assert doctor.recipes([]).state == "fail"


def test_a_check_that_breaks_does_not_hide_the_others():
    check = doctor.guarded(raises(RuntimeError("oops")))
    assert (check.state, check.finding) == ("fail", "the check broke: RuntimeError: oops")


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_exit_code_says_whether_something_failed(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, "guarded", lambda check: doctor.Check("[one]", state, "found [it]", "mend [it]"))
    assert doctor.examine(doctor.Options()) == code
    shown = capsys.readouterr().out
    assert "found [it]" in shown
    assert "hint: mend [it]" in shown
