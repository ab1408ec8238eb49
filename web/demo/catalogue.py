"""The small tables behind catalogue.csv.

The file holds sixty-six kinds of thing in a tree of three levels. A kind's items are combinations of its words, nouns
and sizes ("Oak" "Salad Bowl" "28 cm"); alternatives are parted by "/". Everything that makes one kind behave unlike
another is a column there: price of a middling item in pounds, popularity, season, how it is bought, who likes it,
which kinds it goes with, and what a Chinese visitor types into the search box.
"""

from __future__ import annotations

# Share of a year's demand in each month, January first; every row is divided by its mean.
SEASONS = {
    "flat": (9, 9, 9, 9, 9, 9, 9, 9, 9, 10, 11, 12),
    "christmas": (2, 2, 2, 2, 2, 2, 2, 3, 5, 10, 28, 40),
    "winter": (14, 12, 10, 7, 5, 4, 3, 4, 7, 11, 14, 16),
    "summer": (3, 3, 6, 10, 15, 18, 17, 13, 7, 4, 2, 3),
    "spring": (5, 8, 15, 17, 14, 9, 7, 6, 6, 5, 4, 4),
}

# Weights of the quantities 1, 2, 3, 4, 6 in one line, and whether people buy the same thing again.
QUANTITIES = {
    "food": ((78, 15, 4, 2, 1), True),
    "care": ((85, 12, 3, 0, 0), True),
    "thing": ((93, 6, 1, 0, 0), False),
    "set": ((58, 18, 2, 15, 7), False),
    "machine": ((100, 0, 0, 0, 0), False),
}

# A taste boosts its kinds. The columns say who has it: constant, and the pull of age, income, education,
# household size (each as standard deviations from the mean) and of speaking Chinese.
TASTES = {
    "coffee": (0.3, -0.5, 0.3, 0.5, -0.1, 0.0),
    "tea": (0.1, 0.7, 0.1, 0.2, -0.3, 1.2),
    "baker": (0.1, 0.1, 0.0, 0.0, 0.8, -0.5),
    "host": (-0.1, 0.3, 0.9, 0.4, 0.4, 0.0),
    "cook": (0.2, 0.0, 0.3, 0.2, 0.2, 0.4),
    "wok": (-0.8, -0.3, 0.0, 0.3, 0.2, 3.2),
    "starter": (0.0, -1.2, -0.9, 0.0, -0.6, 0.2),
    "nest": (0.1, 0.2, 0.2, -0.2, 0.3, -0.3),
    "garden": (-0.2, 0.6, 0.3, -0.1, 0.4, -0.6),
}

# Makers of each department: cheap, ours, fine.
BRANDS = {
    "Pantry": ("Daily Larder", "Fennel & Oak", "Maison Arbelle"),
    "Kitchen": ("Basecamp Kitchen", "Fennel & Oak", "Halden Forge"),
    "Table": ("Plainware", "Fennel & Oak", "Tidewater Pottery"),
    "Home": ("Plainware", "Fennel & Oak", "Norrby House"),
    "Garden": ("Basecamp Garden", "Fennel & Oak", "Thornbury & Daughters"),
    "Gifts": ("Daily Larder", "Fennel & Oak", "Maison Arbelle"),
}

SIZES = {
    "": 1.0, "50 g": 0.6, "100 g": 1.0, "250 g": 0.6, "500 g": 1.0, "1 kg": 1.8, "2 kg": 3.2,
    "250 ml": 0.6, "500 ml": 1.0, "1 l": 1.7, "2 l": 2.4, "4 cup": 0.8, "8 cup": 1.2,
    "20 cm": 0.7, "24 cm": 0.9, "28 cm": 1.2, "32 cm": 1.5, "140 cm": 0.8, "180 cm": 1.0, "220 cm": 1.3,
    "Small": 0.7, "Medium": 1.0, "Large": 1.5, "Set of 2": 0.6, "Set of 4": 1.0, "Set of 6": 1.4,
    "x 10": 0.6, "x 50": 1.6, "16 piece": 0.8, "24 piece": 1.2,
}  # fmt: skip
