"""The members as nodes of an ONNX graph. Imported on export only."""
