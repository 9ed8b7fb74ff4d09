"""The diagram of a model: layout and drawing."""
