"""Choosing, drawing and uploading the image that a page shows."""
