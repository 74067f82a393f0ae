"""Whether something other than the errors tells the classes apart, found without training a model."""
