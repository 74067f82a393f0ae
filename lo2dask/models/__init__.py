"""The model registry, estimators, fits, scores, splits, measures and bundles."""
