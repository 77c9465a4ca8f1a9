"""A network in use: SavedModel, server files, ONNX, batch scoring."""
