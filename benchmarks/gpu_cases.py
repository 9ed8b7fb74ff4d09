"""Every conformance case on the GPU against the CPU: outputs and gradients, in float32 and in mixed precision.

The reference is computed in a process that sees no GPU: in one that does, TensorFlow runs a recurrent layer on the
GPU even if the CPU is asked for. The GPU receives the variables of the reference.

    python -m benchmarks.gpu_cases FILE POLICIES [CASES]    # computes the reference
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np

from benchmarks.gpu_backend import HIDDEN_GPUS, Arrays, Evaluation, exact_float32, prepare_evaluation
from benchmarks.gpu_records import Check
from benchmarks.records import without_paths
from deepkit.testing.conformance import make_batch
from tests.conformance.cases import CASES, Case, build

FLOAT32_TOLERANCE = 1e-4  # float32 differs from float64 by at most 2e-6 on these cases
MIXED_TOLERANCE = 0.05  # bfloat16's next number after 1 is 1.008
MAX_MIXED_TOLERANCE = 0.5  # a rounding that moves a maximum or a ReLU's zero sends a gradient elsewhere
DRY_CASES = ("conv_block", "mlp_norm", "bilstm", "attention_heads", "gan")
ROOT = Path(__file__).parent.parent

Outcome = Evaluation | str
"""An evaluation, or the reason why there is none."""

Key = tuple[str, str]
"""A dtype policy and the name of a case."""


def check_cases(policies: Sequence[str], names: Sequence[str], is_over: Callable[[], bool]) -> list[Check]:
    """Compare cases on the default device with the CPU.

    Args:
        policies: Names of dtype policies; the first is float32.
        names: Names of the cases; all of them if empty.
        is_over: Function that returns whether the time is up; the remaining cases are left out.
    """
    cases = select_cases(names)
    references = compute_references(policies, names)
    checks = []
    for policy in policies:
        expected = {case.name: references[policy, case.name] for case in cases}
        for name, outcome in evaluate_cases(cases, policy, expected, is_over):
            float32 = references[policies[0], name]
            checks.append(compare(name, policy, outcome, expected[name], float32))
    return checks


def select_cases(names: Sequence[str]) -> list[Case]:
    """Return the cases of these names; all of them without names."""
    return [case for case in CASES if not names or case.name in names]


def evaluate_cases(
    cases: Sequence[Case], policy: str, references: Mapping[str, Outcome] | None, is_over: Callable[[], bool]
) -> Iterator[tuple[str, Outcome]]:
    """Yield the name and the outcome of each case on the default device.

    Args:
        cases: The cases.
        policy: Name of the dtype policy.
        references: References whose variables are used, by the name of the case; None for new variables.
        is_over: Function that returns whether the time is up.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    prepared: dict[str, Callable[[], Evaluation] | str] = {}
    try:
        with exact_float32():
            for case in cases:
                if is_over():
                    break
                reference = references[case.name] if references else None
                prepared[case.name] = reference if isinstance(reference, str) else _prepare(case, reference)
            for name, evaluate in prepared.items():
                yield name, evaluate if isinstance(evaluate, str) else _attempt(evaluate)
    finally:
        keras.config.set_dtype_policy(before)


def _prepare(case: Case, reference: Evaluation | None) -> Callable[[], Evaluation] | str:
    """Build a case, and return the function that evaluates it, or the reason why it cannot be built."""
    try:
        keras.utils.set_random_seed(0)
        model, inputs = build(case), make_batch(case.shape)
        has_numbers = case.shape != () and "Threshold(" not in repr(case.definition())  # which refuses a gradient
        return prepare_evaluation(
            model,
            inputs,
            None if reference is None else (reference.trainable, reference.others),
            with_gradients=not case.trained_as_a_whole,
            for_inputs=has_numbers,
        )
    except Exception as error:
        return _reason(error)


def _attempt(evaluate: Callable[[], Evaluation]) -> Outcome:
    try:
        return evaluate()
    except Exception as error:
        return _reason(error)


def _reason(error: BaseException) -> str:
    """Return the cause in one line: of Keras's own errors the line after the headline, without colors."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip("\x1b[01m ") for line in str(error).splitlines() if line.strip()]
    line = lines[1] if len(lines) > 1 and lines[0].startswith("Exception encountered") else "".join(lines[:1])
    return without_paths(f"{type(error).__name__}: {line}"[:200])


def compare(case: str, policy: str, outcome: Outcome, reference: Outcome, float32: Outcome) -> Check:
    """Return the check of an outcome against the reference of its precision, and the tolerance for it.

    In 16 bits the tolerance of the gradients grows with the error of the CPU's own rounding: twice the deviation of
    its gradients from those in float32.
    """
    if isinstance(reference, str):
        is_unsupported = keras.backend.backend() != "tensorflow"
        return Check(case, policy, problem=reference, is_unsupported=is_unsupported)
    if isinstance(outcome, str):
        return Check(case, policy, problem=outcome)
    outputs_tolerance = gradients_tolerance = FLOAT32_TOLERANCE
    if "16" in policy:
        rounding = 0.0 if isinstance(float32, str) else deviation(reference.gradients, float32.gradients)
        outputs_tolerance = MIXED_TOLERANCE
        gradients_tolerance = min(max(MIXED_TOLERANCE, 2 * rounding), MAX_MIXED_TOLERANCE)
    has_gradients = bool(reference.gradients)
    return Check(
        case,
        policy,
        outputs=deviation(outcome.outputs, reference.outputs),
        gradients=deviation(outcome.gradients, reference.gradients) if has_gradients else None,
        outputs_tolerance=outputs_tolerance,
        gradients_tolerance=gradients_tolerance,
    )


def deviation(arrays: Arrays, references: Arrays) -> float:
    """Return the largest deviation of an array: the norm of its difference, relative to the norm of the reference.

    An array that is smaller than the others, such as a gradient that is 0 but for rounding, is compared with the root
    mean square of all norms. The result is infinite for numbers that are not finite, or of another shape.

    Examples:
        >>> import numpy as np
        >>> round(deviation([np.array([1.0, 1.01])], [np.array([1.0, 1.0])]), 4)
        0.0071
    """
    norms = [float(np.linalg.norm(reference.astype("float64"))) for reference in references]
    typical = float(np.sqrt(np.mean(np.square(norms)))) if norms else 0.0
    largest = 0.0 if len(arrays) == len(references) else float("inf")
    for array, reference, norm in zip(arrays, references, norms, strict=False):
        if array.shape != reference.shape or not np.all(np.isfinite(array) == np.isfinite(reference)):
            return float("inf")
        is_finite = np.isfinite(reference)
        difference = np.linalg.norm(array[is_finite].astype("float64") - reference[is_finite])
        if difference:
            largest = max(largest, float(difference) / max(norm, typical, 1e-30))
    return largest


def compute_references(policies: Sequence[str], names: Sequence[str]) -> dict[Key, Outcome]:
    """Return the outcome of each case on the CPU, computed in a process without a GPU.

    Raises:
        RuntimeError: The process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "references.npz")
        command = [sys.executable, "-m", "benchmarks.gpu_cases", str(path), ",".join(policies), *names]
        environment = {**os.environ, **HIDDEN_GPUS, "KERAS_BACKEND": keras.backend.backend()}
        process = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if process.returncode:
            last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"the reference process ended with code {process.returncode}: {last_line}")
        with np.load(path) as arrays:
            return _unpack(arrays)


def _write_references(path: Path, policies: Sequence[str], names: Sequence[str]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for policy in policies:
        for name, outcome in evaluate_cases(select_cases(names), policy, None, lambda: False):
            arrays.update(_pack((policy, name), outcome))
    np.savez(path, **arrays)


def _pack(key: Key, outcome: Outcome) -> dict[str, np.ndarray]:
    """Return the arrays of an outcome by names such as `"float32/mlp/outputs/0"`."""
    prefix = "/".join(key)
    if isinstance(outcome, str):
        return {f"{prefix}/problem": np.array(outcome)}
    arrays = {f"{prefix}/done": np.array(True)}
    for item in fields(outcome):
        for index, array in enumerate(getattr(outcome, item.name)):
            arrays[f"{prefix}/{item.name}/{index:04}"] = array
    return arrays


def _unpack(arrays: Mapping[str, np.ndarray]) -> dict[Key, Outcome]:
    groups: dict[Key, dict[str, Arrays]] = {}
    for name in sorted(arrays):
        policy, case, item, *_ = name.split("/")
        groups.setdefault((policy, case), {}).setdefault(item, []).append(arrays[name])
    names = [item.name for item in fields(Evaluation)]
    return {
        key: str(group["problem"][0]) if "problem" in group else Evaluation(*(group.get(name, []) for name in names))
        for key, group in groups.items()
    }


if __name__ == "__main__":
    _write_references(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:])
