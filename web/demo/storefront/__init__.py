"""A demo shop on the web: an application of its own that knows Rapport by its public doors alone."""
