"""What a message says: Liquid, blocks, text messages, tracked links."""

from campaigns.content.messages import Preview, check, preview, register_links, render, view
from campaigns.content.review import Review, review

__all__ = ["Preview", "Review", "check", "preview", "register_links", "render", "review", "view"]
