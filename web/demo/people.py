"""Who shops at the demo shop: declared facts as a shop really has them (some missing), and the hidden traits
behind the behaviour: taste, price band, rhythm, and the day a person quietly leaves.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.models import BUCKETS
from web.demo.catalogue import TASTES

DAYS = 1096  # three years

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# How people came in: share, share who tell their income and education, e-mail and SMS consent (share yes).
ORIGINS = {
    "web": (0.52, 0.45, 0.72, 0.60),
    "survey": (0.12, 1.00, 0.80, 0.70),
    "flyer": (0.10, 0.35, 0.62, 0.50),
    "call": (0.06, 0.55, 0.40, 0.80),
    "import": (0.12, 0.30, 0.55, 0.40),
    "partner": (0.08, 0.40, 0.66, 0.30),
}

# Income multiplier, and the share of people under 35, under 55 and older who have it.
EDUCATION = {
    "secondary": (0.75, 0.20, 0.28, 0.44),
    "vocational": (0.88, 0.18, 0.24, 0.26),
    "bachelor": (1.10, 0.40, 0.28, 0.18),
    "master": (1.35, 0.19, 0.16, 0.09),
    "doctorate": (1.50, 0.03, 0.04, 0.03),
}

# Which names people have where.
CULTURES = {
    "United Kingdom": {"british": 68, "indian": 8, "pakistani": 5, "nigerian": 4, "polish": 5, "irish": 4,
                       "spanish": 2, "pinyin": 3, "chinese": 1},
    "Ireland": {"irish": 80, "british": 10, "polish": 10},
    "France": {"french": 88, "spanish": 8, "nigerian": 4},
    "Germany": {"german": 86, "polish": 10, "spanish": 4},
    "United States": {"british": 55, "spanish": 20, "irish": 10, "indian": 10, "pinyin": 5},
    "Singapore": {"pinyin": 70, "chinese": 15, "indian": 15},
    "Hong Kong": {"pinyin": 50, "chinese": 50},
    "China": {"chinese": 100},
}  # fmt: skip

MOBILE = ("+447700", "+3363998", "+1")
MAILBOXES = ("example.com", "example.net", "example.org", "post.example", "mail.example")
REGIONAL_INCOME = {"London": 1.25, "South East": 1.12, "Wales": 0.9, "North East": 0.88, "Northern Ireland": 0.88}


@dataclass(frozen=True)
class People:
    """The contacts, one row each, and what only the generator knows about them (arrays in the same order)."""

    contacts: pd.DataFrame
    taste: Ints  # row of TASTES
    band: Floats  # 0 buys the cheap one, 2 the fine one
    store: npt.NDArray[np.str_]  # the branch nearby, "" for none
    joined: Floats  # day of the history on which we first heard of them
    ordering: Flags  # the others never buy


def generate_people(rng: np.random.Generator, now: datetime, count: int) -> People:
    """Draw `count` people who came in during the DAYS before `now`, a growing number each month."""
    places = _table("places.csv")
    place = rng.choice(len(places), size=count, p=_shares(places["weight"]))
    origin = rng.choice(list(ORIGINS), size=count, p=_shares(pd.Series([row[0] for row in ORIGINS.values()])))
    home = places.iloc[place].reset_index(drop=True)
    facts = _demography(rng, home["region"], count)
    names = _names(rng, home)
    joined = np.where(origin == "import", 0.0, rng.random(count) ** 0.7 * DAYS * 0.999)
    chinese = names["culture"].isin(["chinese", "pinyin"]).to_numpy()
    told, email_yes, sms_yes = (np.array([ORIGINS[o][i] for o in ORIGINS])[_codes(origin)] for i in (1, 2, 3))
    tells = rng.random(count) < told
    with_email = rng.random(count) < np.where(np.isin(origin, ["call", "flyer"]), 0.75, 0.98)
    phone = _phones(rng, home, wants=rng.random(count) < np.where(origin == "call", 1.0, 0.42))
    dated = rng.random(count) < 0.35  # these gave their birthday, others only their age
    lived = (facts["age"] + rng.random(count) * 0.98) * 365.25 + 1
    birth = pd.Timestamp(now).tz_convert(None).normalize() - pd.to_timedelta(lived, unit="D")
    contacts = pd.DataFrame(
        {
            "key": [f"C{number:06d}" for number in range(1, count + 1)],
            "email": pd.Series(_emails(rng, names)).where(with_email),
            "phone": phone,
            "first_name": names["first"],
            "last_name": names["last"],
            "birth_date": pd.Series(birth.dt.date, dtype=object).where(dated),
            "age": pd.Series(facts["age"], dtype="Int64").where(~dated & (tells | (rng.random(count) < 0.5))),
            "income": pd.Series(facts["income"] * 10_000, dtype="Int64").where(tells),
            "education": pd.Series(facts["education"]).where(tells),
            "household_size": pd.Series(facts["household"], dtype="Int64").where(rng.random(count) < 0.7),
            **{name: home[name] for name in ("country", "region", "city")},
            "postcode": _postcodes(rng, home["postcode"]),
            "language": home["language"].mask(chinese & (rng.random(count) < 0.7), "zh"),
            "origin": origin,
            "email_consent": _consent(rng, email_yes, with_email),
            "sms_consent": _consent(rng, sms_yes, phone.str.startswith(MOBILE).fillna(False).to_numpy(dtype=bool)),
            "attributes": _attributes(rng, tells, count),
            "bucket": rng.integers(0, BUCKETS, count),
        }
    )
    return People(
        contacts,
        taste=_tastes(rng, facts, contacts["language"].eq("zh").to_numpy()),
        band=np.clip(1 + 0.75 * _standard(np.log(facts["income"])) + rng.normal(0, 0.4, count), 0, 2),
        store=home["store"].fillna("").to_numpy(dtype=str),
        joined=joined,
        ordering=rng.random(count) < np.where(np.isin(origin, ["survey", "flyer", "partner"]), 0.55, 0.85),
    )


def _table(name: str) -> pd.DataFrame:
    with (files("web.demo") / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _shares(weights: pd.Series[Any]) -> Floats:
    return (weights / weights.sum()).to_numpy(dtype=float)


def _standard(values: Any) -> Floats:
    given = np.asarray(values, dtype=float)
    return np.asarray((given - given.mean()) / given.std())


def _codes(origin: npt.NDArray[np.str_]) -> Ints:
    return pd.Categorical(origin, categories=list(ORIGINS)).codes.astype(np.int64)


def _demography(rng: np.random.Generator, region: pd.Series[str], count: int) -> pd.DataFrame:
    """Age, education, household and income as they hang together."""
    age = np.clip(np.where(rng.random(count) < 0.6, rng.normal(36, 9, count), rng.normal(58, 11, count)), 18, 90)
    generation = np.digitize(age, [35, 55])
    ladder = np.cumsum([row[1:] for row in EDUCATION.values()], axis=0)[:, generation]
    education = (rng.random(count) > ladder).sum(axis=0).clip(0, len(EDUCATION) - 1)
    family = np.where((age > 28) & (age < 56), 1.9, 0.7)
    household = (1 + rng.poisson(family)).clip(1, 8)
    career = 1 - ((age - 48) / 45) ** 2  # highest at 48
    multiplier = np.array([row[0] for row in EDUCATION.values()])[education] * region.map(REGIONAL_INCOME).fillna(1.0)
    income = 31_000 * multiplier * (0.65 + 0.5 * career) * rng.lognormal(0, 0.33, count)
    return pd.DataFrame(
        {
            "age": age.astype(int),
            "education": np.array(list(EDUCATION))[education],
            "rung": education,
            "household": household,
            "income": (income / 500).round().astype(int) * 500,
        }
    )


def _names(rng: np.random.Generator, home: pd.DataFrame) -> pd.DataFrame:
    """First and last names by culture; Chinese characters stand together, family name first, as one name."""
    table = _table("names.csv").set_index("culture")
    names = pd.DataFrame({"culture": "", "first": "", "last": ""}, index=home.index, dtype=object)
    for country, shares in CULTURES.items():
        here = home.index[home["country"] == country]
        names.loc[here, "culture"] = rng.choice(list(shares), size=len(here), p=_shares(pd.Series(shares.values())))
    for culture, row in table.iterrows():
        here = names.index[names["culture"] == culture]
        for part in ("first", "last"):
            names.loc[here, part] = rng.choice(row[part].split("/"), size=len(here))
    written = names["culture"] == "chinese"
    latin = table.loc["pinyin"], table.loc["chinese"]
    spelt = {
        part: dict(zip(latin[1][part].split("/"), latin[0][part].split("/"), strict=True)) for part in ("first", "last")
    }
    names["mailbox"] = [f"{spelt['first'].get(a, a)}.{spelt['last'].get(b, b)}" for a, b in _pairs(names)]
    names.loc[written, "first"] = names.loc[written, "last"] + names.loc[written, "first"]
    names.loc[written, "last"] = None
    return names


def _pairs(names: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(names["first"], names["last"], strict=True))


def _emails(rng: np.random.Generator, names: pd.DataFrame) -> list[str]:
    """Addresses at domains that can never belong to anybody (RFC 2606), unique by a number."""
    plain = (
        unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower() for name in names["mailbox"]
    )
    hosts = rng.choice(MAILBOXES, size=len(names))
    numbers = rng.permutation(len(names)) + 10
    return [f"{name}{number}@{host}" for name, number, host in zip(plain, numbers, hosts, strict=True)]


def _phones(rng: np.random.Generator, home: pd.DataFrame, wants: Flags) -> pd.Series[str]:
    """Each number once, from ranges reserved for fiction (Ofcom, Arcep, NANPA 555-01xx); when a mobile range is
    used up a landline, then none.
    """
    phone = pd.Series(None, index=home.index, dtype=object)
    for column in ("mobile", "landline"):
        for pattern in home[column].dropna().unique():
            free = 10 ** pattern.count("#")
            digits = pattern.rstrip("#")
            here = home.index[(home[column] == pattern) & phone.isna() & wants]
            lucky = rng.permutation(here)[:free]
            numbers = rng.permutation(free)[: len(lucky)]
            phone.loc[lucky] = [f"{digits}{number:0{pattern.count('#')}d}" for number in numbers]
    return phone


def _postcodes(rng: np.random.Generator, patterns: pd.Series[str]) -> pd.Series[str]:
    """Digits for #, letters for @."""
    digits = rng.integers(1, 10, size=(len(patterns), 6))
    letters = rng.choice(list("ABDEFGHJLNPQRSTUWXYZ"), size=(len(patterns), 3))
    made = [
        None if not isinstance(pattern, str) else _fill(pattern, digits[row], letters[row])
        for row, pattern in enumerate(patterns)
    ]
    return pd.Series(made, dtype=object)


def _fill(pattern: str, digits: Ints, letters: npt.NDArray[np.str_]) -> str:
    pools = {"#": iter(digits), "@": iter(letters)}
    return "".join(str(next(pools[sign])) if sign in pools else sign for sign in pattern)


def _consent(rng: np.random.Generator, yes: Floats, reachable: Flags) -> pd.Series[Any]:
    """True, False or never asked (None); nobody without an address was asked."""
    draw = rng.random(len(yes))
    answer = pd.Series(draw < yes, dtype=object)
    return answer.where(reachable & (draw < yes + (1 - yes) * 0.6), None)


def _attributes(rng: np.random.Generator, tells: Flags, count: int) -> list[dict[str, Any]]:
    """The shop's own fields: a store card, and what surveys asked for."""
    diets = rng.choice(["everything", "vegetarian", "vegan", "pescatarian"], size=count, p=[0.72, 0.16, 0.06, 0.06])
    homes = rng.choice(["flat", "terraced house", "house with garden"], size=count, p=[0.4, 0.32, 0.28])
    cards = rng.random(count) < 0.3
    return [
        ({"diet": str(diet), "home": str(home)} if told else {}) | ({"store_card": True} if card else {})
        for diet, home, told, card in zip(diets, homes, tells, cards, strict=True)
    ]


def _tastes(rng: np.random.Generator, facts: pd.DataFrame, chinese: Flags) -> Ints:
    """Each person's taste: a multinomial logit on the demography (Gumbel trick)."""
    pulls = np.array(list(TASTES.values()))
    person = np.column_stack(
        [np.ones(len(facts)), *(_standard(facts[name]) for name in ("age", "income", "rung", "household")), chinese]
    )
    return np.asarray((person @ pulls.T + rng.gumbel(size=(len(facts), len(pulls)))).argmax(axis=1))
