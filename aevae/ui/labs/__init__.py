"""What the labs compute, and what their modules in the browser get: a file beside each page that is long."""
