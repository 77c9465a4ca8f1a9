"""The network as one ONNX file, which runs without TensorFlow and this package."""
