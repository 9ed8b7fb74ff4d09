"""The gallery of blocks: an example of every public block, and the cards of the page."""
