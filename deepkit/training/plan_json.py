"""Plans as JSON values, as the config of a run holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from deepkit.execution.plan import Measurement, Plan


def plan_fields(plan: Plan) -> dict[str, object]:
    """Return the fields of a plan that define a run, as JSON values: two runs with the same fields are the same."""
    values = plan.choices() | {"devices": list(plan.devices)}
    if plan.gradient_accumulation_steps == 1:  # the configs of earlier versions do not contain it
        del values["gradient_accumulation_steps"]
    return values


def plan_to_json(plan: Plan) -> dict[str, object]:
    """Return a whole plan, with its reasons and measurements, as JSON values; the addresses of workers may change."""
    return dataclasses.asdict(dataclasses.replace(plan, cluster=None))


def plan_from_json(stored: object) -> Plan:
    """Return the plan whose JSON values `plan_to_json` returned.

    Raises:
        TypeError: A value has another type.
        ValueError: A value is invalid.
    """
    if not isinstance(stored, dict):
        raise TypeError(f"requested_plan: expected a JSON object, received {type(stored).__name__}")
    names = {field.name for field in dataclasses.fields(Plan)}
    values = {name: value for name, value in stored.items() if name in names}
    for name in ("devices", "auto_fields"):
        if name in values:
            values[name] = tuple(values[name])
    values["reasons"] = tuple((name, reason) for name, reason in values.get("reasons", ()))
    values["measurements"] = tuple(_measurement_from_json(row) for row in values.get("measurements", ()))
    return Plan(**values)


def _measurement_from_json(row: Mapping[str, object]) -> Measurement:
    measurement = Measurement(**row)  # type: ignore[arg-type]
    if measurement.spread is None:
        return measurement
    fastest, slowest = measurement.spread
    return dataclasses.replace(measurement, spread=(fastest, slowest))
