"""The result of timing one candidate for one field of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Measurement:
    """The timing and the verdict of one candidate for one field of a plan, which `dk.autotune` keeps.

    Args:
        field: Name of the field.
        value: The candidate as text; `"yes"` and `"no"` for XLA, empty if the field was not measured.
        milliseconds: Duration of a training step in the median round; None if it was not timed.
        spread: Duration of a step in the fastest and in the slowest round, in milliseconds.
        loss: Mean loss of the first steps. All candidates start from the same weights and see the same batches.
        verdict: Whether the candidate was chosen, and why.

    Examples:
        >>> from deepkit.execution import Measurement
        >>> print(Measurement("jit_compile", "yes", 4.213, (4.1, 4.9), 1.07, "chosen"))
        jit_compile=yes: 4.21 ms a step, chosen
    """

    columns: ClassVar[tuple[str, ...]] = ("field", "candidate", "ms a step", "spread", "loss", "verdict")

    field: str
    value: str
    milliseconds: float | None = None
    spread: tuple[float, float] | None = None
    loss: float | None = None
    verdict: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the texts of a table row, one for each of `columns`."""
        duration = "" if self.milliseconds is None else format_milliseconds(self.milliseconds)
        loss = "" if self.loss is None else f"{self.loss:.5g}"
        spread = ""
        if self.spread is not None:
            spread = f"{format_milliseconds(self.spread[0])} to {format_milliseconds(self.spread[1])}"
        return self.field, self.value, duration, spread, loss, self.verdict

    def __str__(self) -> str:
        candidate = f"{self.field}={self.value}" if self.value else self.field
        duration = "" if self.milliseconds is None else f"{format_milliseconds(self.milliseconds)} ms a step, "
        return f"{candidate}: {duration}{self.verdict}"


def format_milliseconds(number: float) -> str:
    """Return a number of milliseconds with three significant digits."""
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"
