"""Export: SavedModel, ONNX and LiteRT, each verified against the model."""
