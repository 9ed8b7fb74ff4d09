"""Layout and drawing of model diagrams."""
