"""Images: recipes, and the definitions of the classic networks."""
