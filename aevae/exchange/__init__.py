"""Import and export: run archives, arrays for the command line, ONNX, TensorBoard events."""
