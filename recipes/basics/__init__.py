"""The smallest networks: what one unit, and two layers, can do."""
