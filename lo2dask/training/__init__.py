"""The tasks of train, score and grid."""
