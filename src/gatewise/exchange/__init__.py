"""Models in the formats of other libraries: ONNX files and the Hugging Face Hub."""
