"""Comparison of several runs, and the HTML report about them."""
