"""Training: `fit`, its data adapters, checkpoints, schedules and reports."""
