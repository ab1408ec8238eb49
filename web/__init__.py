"""The doors: web pages, REST API, public links and the command line."""
