"""Helpers of several pages: cached loaders, run pickers, addresses, image sheets."""
