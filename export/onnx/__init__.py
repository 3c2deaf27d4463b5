"""ONNX graphs of a baked model, in floating point and in integers."""
