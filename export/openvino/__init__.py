"""OpenVINO's intermediate representation, made from the ONNX graphs."""
