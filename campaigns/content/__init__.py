"""What a message says: Liquid, blocks, text messages, tracked links."""

from campaigns.content.messages import SAMPLE, Preview, check, preview, register_links, render, try_out, view
from campaigns.content.review import Review, review

__all__ = ["SAMPLE", "Preview", "Review", "check", "preview", "register_links", "render", "review", "try_out", "view"]
