"""How many examples properties are tried with."""

from hypothesis import settings

THOROUGH = 40


def examples(count: int) -> settings:
    """Ask for as many examples, or for the share of them that the profile in use tries (``--hypothesis-profile``)."""
    return settings(max_examples=count * settings().max_examples // THOROUGH)
