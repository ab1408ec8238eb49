"""The demo shop: a believable shop made from a seed and a moment, and its way into an empty database."""
