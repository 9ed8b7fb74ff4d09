"""The config in a run directory: which run it is, its plan, and the fields that the training changes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepkit.execution import devices
from deepkit.training import run_files, stored_config
from deepkit.training.config_difference import config_differences
from deepkit.training.errors import RunDirError
from deepkit.training.plan_json import plan_from_json
from deepkit.training.stored_config import StoredConfig
from deepkit.utils import files

if TYPE_CHECKING:
    from deepkit.execution.plan import Plan


class ConfiguredDir:
    """A directory with the config of a run; the base class of `RunDir`.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self) -> dict[str, Any]:
        """Return the config of the run; empty if no run has begun.

        Raises:
            RunDirError: The config is damaged.
        """
        stored = stored_config.read(self.path)
        return {} if stored is None else dict(stored.config)

    def check_or_write_config(self, config: Mapping[str, object]) -> None:
        """Write the config of a new run, or compare it with the config of the run in this directory.

        Raises:
            RunDirError: The run in this directory has another config; the message lists the fields that differ. Or
                the disk is full.
        """
        new = json.loads(json.dumps(config))
        stored = self.config()
        if not stored:
            with self.convert_disk_errors("the config of the run is not saved, and nothing was trained"):
                self.write_config(StoredConfig(new))
            return
        differences = config_differences(stored, new)
        if not differences:
            return
        schedules = "; a schedule such as dk.OneCycle depends on epochs" if "optimizer" in differences else ""
        raise RunDirError(
            f"run_dir: {self.path} holds a run with another config, which is left unchanged:\n"
            + "\n".join(differences.values()),
            hint=f"use another run_dir, or the settings of the stored run{schedules}",
        )

    def varying_fields(self) -> list[str]:
        """Return the fields of the config that the training itself changes, so that they are not compared."""
        stored = self.config().get("varying", [])
        return [str(name) for name in stored] if isinstance(stored, list) else []

    def add_varying_fields(self, names: Iterable[str]) -> None:
        """Store that the training itself changes these fields of the config.

        Raises:
            RunDirError: The disk is full or missing.
        """
        before = self.varying_fields()
        merged = sorted({*before, *names})
        if merged != before:
            stored = self.stored_config()
            config = dict(stored.config) | {"varying": merged}
            with self.convert_disk_errors("the last checkpoint is complete"):
                self.write_config(dataclasses.replace(stored, config=config))

    def stored_config(self) -> StoredConfig:
        """Return the content of `config.json`.

        Raises:
            RunDirError: The file is missing or damaged.
        """
        stored = stored_config.read(self.path)
        if stored is None:
            raise run_files.missing(self.path / run_files.CONFIG, "although the run has begun")
        return stored

    def write_config(self, content: StoredConfig) -> None:
        """Write `config.json`."""
        self.write(run_files.CONFIG, content.to_text())

    def plan(self) -> Plan | None:
        """Return the plan that the run began with, or None if no run has begun.

        Raises:
            RunDirError: The config is damaged.
        """
        config = self.config()
        if not config:
            return None
        try:
            return plan_from_json(config["requested_plan"])
        except (TypeError, ValueError) as error:
            raise run_files.damaged(self.path / run_files.CONFIG, error) from error

    def available_plan(self) -> Plan | None:
        """Return the plan that the run began with, if this machine has its devices.

        Raises:
            RunDirError: A device of the plan is missing, or the config is damaged.
        """
        plan = self.plan()
        missing = sorted(set(plan.devices) - set(devices.available())) if plan else []
        if missing:
            raise RunDirError(
                f"run_dir: {self.path} holds a run on {', '.join(missing)}, and TensorFlow offers "
                f"{', '.join(devices.available())} here",
                hint="use another run_dir, or continue on a machine with these devices",
            )
        return plan

    def changed_versions(self, versions: Mapping[str, str]) -> str:
        """Return the versions that changed since the run began, as text; empty if none did."""
        stored = self.config().get("versions", {})
        if not isinstance(stored, dict):
            return ""
        changed = [f"{name} {stored[name]} -> {now}" for name, now in versions.items() if stored.get(name, now) != now]
        return ", ".join(changed)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file atomically."""
        files.atomic_write(self.path / name, content)

    def convert_disk_errors(self, consequence: str) -> contextlib.AbstractContextManager[None]:
        """Return a context that raises a `RunDirError` with the consequence if a file cannot be written."""
        return run_files.convert_disk_errors(self.path, consequence)
