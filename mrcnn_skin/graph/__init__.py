"""The network as functional Keras graphs, one file per box of the paper's figure."""
