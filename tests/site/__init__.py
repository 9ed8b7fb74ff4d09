"""Checks of the built documentation: without a browser, and in headless Chromium."""
