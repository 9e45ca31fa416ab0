"""Models and arrays in the binary format that the browser reads."""
