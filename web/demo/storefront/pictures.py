"""Pictures of items: drawn from what an item is called and where it stands, so the same item always looks the same.

A picture is an SVG of about 1.5 kB, made on request (30 µs) and kept by browsers for a day.
"""

from __future__ import annotations

import hashlib
from typing import Final

from markupsafe import escape

from web.demo.storefront.motifs import MOTIFS

# By the last part of the category; a noun of the title goes before it.
KINDS: Final = {
    "Beans": "bag", "Ground": "bag", "Capsules": "box", "Black tea": "tin", "Green and oolong": "tin", "Herbal": "tin",
    "Olive oil": "bottle", "Vinegar": "bottle", "Jam": "jar", "Honey": "jar", "Chutney": "jar", "Flour": "bag",
    "Sugar and cocoa": "bag", "Extracts and toppings": "bottle", "Pasta": "packet", "Rice": "bag", "Noodles": "packet",
    "Spices": "jar", "Chilli sauces": "bottle", "Soy and sesame": "bottle", "Chocolate": "bar", "Biscuits": "biscuits",
    "Espresso machines": "espresso", "Grinders": "grinder", "Brewers": "brewer", "Filters and care": "filters",
    "Teapots": "teapot", "Kettles": "kettle", "Infusers": "infuser", "Tins": "loaf tin", "Mixers": "mixer",
    "Baking tools": "whisk", "Pans": "pan", "Casseroles": "casserole", "Woks and steamers": "wok", "Knives": "knife",
    "Boards": "board", "Jars": "glass jar", "Tins and boxes": "tin", "Plates": "plate", "Bowls": "bowl", "Mugs": "mug",
    "Wine glasses": "wine", "Tumblers": "tumblers", "Carafes": "carafe", "Sets": "cutlery", "Serving": "servers",
    "Tablecloths": "linen", "Napkins": "linen", "Tea towels": "towel", "Candles": "candle", "Diffusers": "diffuser",
    "Throws": "throw", "Cushions": "cushion", "Baskets": "basket", "Lamps": "lamp", "Washing up": "pump",
    "Brushes": "brush", "Planters": "planter", "Tools": "trowel", "Seeds": "seeds", "Barbecue": "barbecue",
    "Picnic": "basket", "Hampers": "gift", "Ornaments": "bauble", "Cards and paper": "wrap",
}  # fmt: skip
NOUNS: Final = {
    "chilli paste": "jar", "sprinkles": "jar", "truffles": "box", "moka pot": "moka", "pour-over": "pour-over",
    "rolling pin": "rolling pin", "spatula": "spatula", "steamer": "steamer", "bread bin": "bread bin",
    "apron": "apron", "grill pan": "pan", "picnic blanket": "throw", "star": "star", "salad bowl": "bowl",
    "surface spray": "bottle", "seed tin": "tin",
}  # fmt: skip

# What a word of the title says of the colour; the longest that fits counts.
WORDS: Final = {
    "sage": "#8da58a", "midnight": "#34435f", "terracotta": "#c4724f", "oatmeal": "#d9c6a5", "speckled": "#e3d9c8",
    "reactive blue": "#4d7f9e", "white": "#efe9dd", "oak": "#b98b58", "walnut": "#74503a", "beech": "#cfa676",
    "bamboo": "#c3a961", "acacia": "#9c6b3f", "olive wood": "#ad8349", "copper": "#bb6c42", "brass": "#bf9b50",
    "steel": "#a3acaf", "stainless": "#a3acaf", "black": "#3c3d41", "cast iron": "#45494d", "carbon steel": "#555b60",
    "tri-ply": "#a3acaf", "non-stick": "#4c4f55", "indigo": "#3c4f86", "ochre": "#c9953e", "ember": "#b64a31",
    "ink": "#2f3f5a", "cream": "#e6d8b8", "amber": "#c17c31", "enamel": "#dcd7c8", "glass": "#a9cbc4",
    "zinc": "#98a2a6", "felt": "#8b8f95", "rattan": "#c19a62", "wicker": "#b98d55", "willow": "#a9814f",
    "seagrass": "#bda468", "jute": "#b99a6c", "linen": "#cdbb9a", "velvet": "#7a4462", "cotton": "#9fb2bd",
    "striped": "#7f98ad", "checked": "#b8635a", "strawberry": "#c4453c", "damson": "#6b3a63", "orange": "#dd8a34",
    "apricot": "#e2a04f", "blackcurrant": "#4f2f56", "rhubarb": "#cf6f7b", "heather": "#b98a4f",
    "wildflower": "#d39b3a", "blossom": "#dba950", "chestnut": "#8d5a35", "mango": "#e0a13c", "tomato": "#c1503a",
    "fig": "#7b4a5e", "onion": "#9a4a5c", "piccalilli": "#d5b13f", "apple": "#a9a74b", "vanilla": "#8a6a4a",
    "almond": "#c79f6e", "raspberry": "#bf4a67", "gold": "#c9a04a", "rose": "#cf8590", "balsamic": "#4b3430",
    "sherry": "#9c6440", "cider": "#c79645", "chinkiang": "#3f2f2c", "olive": "#7f8750", "lemon": "#d9c14d",
    "matcha": "#8ba35c", "sencha": "#7f9a5b", "longjing": "#93a65a", "jasmine": "#a7b98a", "peppermint": "#6fa287",
    "camomile": "#d8b852", "rooibos": "#b0573a", "ginger": "#c98a41", "elderflower": "#b9bd86", "earl grey": "#5d6d86",
    "assam": "#9a5236", "darjeeling": "#b3793f", "keemun": "#6d4034", "espresso": "#5a3c2e", "decaf": "#7d8a68",
    "ethiopia": "#c06a45", "colombia": "#4f7a6a", "brazil": "#b98a3e", "kenya": "#a4494a", "guatemala": "#5b7390",
    "cocoa": "#6b4636", "muscovado": "#8a5a3c", "dark": "#513529", "milk": "#a97a55", "hazelnut": "#96683f",
    "sea salt": "#6f8fa8", "ruby": "#b0506b", "saffron": "#d08a2c", "paprika": "#b94a32", "cinnamon": "#9a5f3b",
    "sumac": "#8f3f4a", "cumin": "#a9854c", "harissa": "#b8452f", "gochujang": "#a93a30", "sriracha": "#c2482f",
    "doubanjiang": "#8e3b2b", "soy": "#3f2d28", "sesame": "#b28a4c", "tamari": "#35282a", "cedar": "#a06a4a",
    "rosemary": "#6f8b78", "woodsmoke": "#6c6d72", "bergamot": "#a3a95a", "neroli": "#d8b98a", "tea": "#7f9070",
    "smoked": "#74787d", "crystal": "#b8cdd4", "recycled": "#93b5a8", "kraft": "#b98f62", "marbled": "#7f8fa6",
    "botanical": "#6f8f6b", "linocut": "#4a5568", "horn": "#8a6b4c", "pearl": "#d5d3cb", "paper": "#e5dcc8",
    "ceramic": "#c9bfae", "damascus": "#5c4a40", "forged": "#3f4348", "retro": "#86b3ab", "lambswool": "#cfc3ae",
    "herringbone": "#8c8578", "mohair": "#c29a9a", "sichuan": "#b5452f", "tomato seeds": "#c1503a", "pea": "#b98bb0",
}  # fmt: skip
SPARE: Final = ("#b8795a", "#7f9a86", "#5f7d95", "#c6a15b", "#8c6d8a", "#a8604f", "#6f8a70", "#9c8a6a", "#56737d")
LABELS: Final = ("#f6efe2", "#f3e7d3", "#efe9dd", "#f7f0e6")
FLOORS: Final = {  # wall and floor of a department
    "Pantry": ("#f3e8d8", "#e6d6be"), "Kitchen": ("#e4ebe8", "#cfdad6"), "Table": ("#f4e6e0", "#e6d1c8"),
    "Home": ("#e9ecdf", "#d6dcc6"), "Garden": ("#e1ecdd", "#c9dbc2"), "Gifts": ("#f1e4e8", "#e1ccd4"),
}  # fmt: skip
BAKED: Final = "#cf9f5f"  # biscuits, unless their title says more
HANDLE: Final = "#b58a5a"
SPECKLED: Final = frozenset({"plate", "bowl", "mug", "teapot"})


def draw(title: str, category: str) -> str:
    """The picture of an item as SVG; `category` is a path such as `Kitchen > Tea making > Teapots`."""
    chance = hashlib.blake2b(f"{category}\n{title}".encode(), digest_size=8).digest()
    kind = motif(title, category)
    body = colour(title, kind, chance[0])
    wall, floor = FLOORS.get(category.partition(" > ")[0], FLOORS["Pantry"])
    fills = {"a": body, "b": _mix(body, "#1d1410", 0.24), "c": _mix(body, "#ffffff", 0.5)}
    label = LABELS[chance[1] % len(LABELS)]
    drawn = MOTIFS[kind].format(**fills, e=HANDLE, d=label if _is_dark(body) else _mix(body, "#2a1f1a", 0.62))
    tilt = (chance[2] % 3 - 1) * 8
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img">'
        f"<title>{escape(title)}</title>"
        f'<path d="M0 0h400v400H0z" fill="{wall}"/>'
        f'<circle cx="{200 + tilt * 6}" cy="176" r="150" fill="#fff" opacity=".38"/>'
        f'<path d="M0 286h400v114H0z" fill="{floor}"/>'
        '<ellipse cx="200" cy="312" rx="128" ry="14" fill="#2a1f1a" opacity=".14"/>'
        f"{drawn}{_speckles(chance) if 'speckled' in title.lower() and kind in SPECKLED else ''}</svg>"
    )


def motif(title: str, category: str) -> str:
    """What is drawn: a key of MOTIFS."""
    lower = f" {title.lower()} "
    found = max((noun for noun in NOUNS if f" {noun} " in lower), key=len, default="")
    return NOUNS.get(found) or KINDS.get(category.rpartition(" > ")[2], "gift")


def colour(title: str, kind: str, chance: int) -> str:
    """The thing's own: what its title says, else one of SPARE."""
    lower = title.lower()
    found = max((word for word in WORDS if word in lower), key=len, default="")
    return WORDS.get(found) or (BAKED if kind == "biscuits" else SPARE[chance % len(SPARE)])


def _speckles(chance: bytes) -> str:
    spots = ((150 + chance[n % 8] * (n + 3) % 100, 200 + chance[(n + 3) % 8] * (n + 5) % 84) for n in range(16))
    return "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="#8d7b66" opacity=".75"/>' for x, y in spots)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mix(one: str, other: str, share: float) -> str:
    mixed = (round(a + (b - a) * share) for a, b in zip(_parts(one), _parts(other), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _is_dark(colour: str) -> bool:
    red, green, blue = _parts(colour)
    return red * 0.299 + green * 0.587 + blue * 0.114 < 178
