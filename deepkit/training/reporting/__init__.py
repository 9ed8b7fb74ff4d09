"""The sections of the report of a run, and the evaluation that they show."""
