"""WHAT to offer: interactions, sources, trainings and placements."""
