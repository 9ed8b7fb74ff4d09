"""What a training stores besides its checkpoints: the fields that it changes itself, its model and its result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras

from deepkit.training.fingerprint import Fingerprint, fingerprint
from deepkit.training.run_dir import RunDir
from deepkit.training.state import TrainingState
from deepkit.training.stored_model import save_model
from deepkit.training.stored_result import RunResult


@contextlib.contextmanager
def store_varying_fields(
    directory: RunDir,
    initial_fingerprint: Fingerprint,
    net: object,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Iterator[None]:
    """Store the names of the fingerprint's fields that the training in a `with` block changes.

    The next call does not compare these fields. A callback may append to a list that it holds, for instance.

    Args:
        directory: The run directory.
        initial_fingerprint: The fingerprint before the training.
        net: The definition, or the model of the user.
        model: The compiled model.
        callbacks: The user's callbacks.
    """

    def store() -> None:
        directory.add_varying_fields(initial_fingerprint.differing(fingerprint(net, model, callbacks)))

    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # of a full disk, which may be the reason of the first error
            store()
        raise
    store()


def save_result(
    model: keras.Model, final_state: TrainingState, directory: RunDir, resume: str, verbose: int | str
) -> None:
    """Write the trained model and the result of a finished run.

    Args:
        model: The trained model.
        final_state: The state at the end of the training.
        directory: The run directory.
        resume: `"exact"`, or why a resumed run is only approximately equal.
        verbose: 0 for silence.
    """
    result = RunResult(
        epochs=final_state.epoch,
        stopped=final_state.stopped,
        resume=resume,
        seconds=round(sum(final_state.seconds), 3),
        history=final_state.history,
    )
    directory.save_result(result, lambda path: save_model(model, path, verbose))
