"""The `deepkit` command."""
