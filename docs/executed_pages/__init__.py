"""Executed documentation: run the code of the pages, show its output, and offer each page as a notebook."""
