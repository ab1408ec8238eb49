"""The browser's files: sources in src/, built from npm packages into web/static/dist, which is never committed."""
