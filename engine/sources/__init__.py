"""Doors through which people come in that nobody knew before: forms, flyers, calls."""
