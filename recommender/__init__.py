"""WHAT to offer: interactions, sources, trainings and placements."""

from recommender import criteria

criteria.register()
