"""Tables of the recommender."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from engine.database import Base, BigKey, Json, UtcDateTime


class Training(Base):
    """One fitted artefact: a folder of npz and JSON files with checksums under the workspace.

    settings: `history_days`, `minimum_support`, `minimum_confidence`, `seed`; `used`, by source `parts` (settings of
    each), `weights` of the blend and whether they were `tuned`; `tuned`, by source what tuning chose and, in
    `validation`, how (recommender.tuning.tune says its keys).

    metrics: `cut`, where the questions begin; `purchases`, `data`, what was learned from; and for each task (for_you,
    cross_sell, next_purchase, session) on the same questions: `training`, `popular` (best-sellers) and `published` (the
    training that served, None without one), each with `cases` and, at 10, `hit_rate`, `recall`, `ndcg`, `mrr`,
    `coverage`, `hit_rate_error`, `ndcg_error`; `parts`, the same of each part of the blend alone, on every so many of
    the questions; `gain` over best-sellers and `gain_before` over what served: `hit_rate`, `ndcg` and the standard
    errors of the paired differences, `hit_rate_error`, `ndcg_error`. `seconds`, of each stage; while it runs only
    `progress`, the `stage` it is at and its `share` of all.
    """

    __tablename__ = "trainings"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    status: Mapped[str] = mapped_column(String(16))  # running, ready, refused (worse than what serves), failed
    folder: Mapped[str] = mapped_column(String(128))  # relative to the workspace
    settings: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Published(Base):
    """The switch: which training serves. One row; publishing and rolling back are one UPDATE."""

    __tablename__ = "published"
    id: Mapped[int] = mapped_column(primary_key=True)
    training_id: Mapped[int] = mapped_column(ForeignKey("trainings.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Placement(Base):
    """Where an offer appears: an ordered list of sources with business rules."""

    __tablename__ = "placements"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # home, item, cart, email ...
    name: Mapped[str] = mapped_column(String(128))
    sources: Mapped[list[str]] = mapped_column(Json)
    rules: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SuppressedItem(Base):
    """An item that no placement shows; by its key, so that one that goes and comes back stays suppressed."""

    __tablename__ = "suppressed_items"
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Bundle(Base):
    """Items sold together for a price of their own: a price, or a discount on what they cost one by one."""

    __tablename__ = "bundles"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    items: Mapped[list[str]] = mapped_column(Json)  # their keys, the one that leads first
    price: Mapped[int | None] = mapped_column(BigInteger)  # ten-thousandths of the shop's currency
    discount: Mapped[float | None] = mapped_column(Float)  # share
    since: Mapped[date | None]  # days of the shop, both included
    until: Mapped[date | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Comparison(Base):
    """Two settings of a placement shown to people by chance, and best-sellers to those held out. Running until
    `ended_at`; `adopted` names the arm whose settings the placement took, `before` what it had then.
    """

    __tablename__ = "comparisons"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    placement: Mapped[str] = mapped_column(String(64), index=True)  # its key: seeded placements may have no row
    variant_a: Mapped[dict[str, Any]] = mapped_column(Json)  # label, sources, rules
    variant_b: Mapped[dict[str, Any]] = mapped_column(Json)
    share_b: Mapped[float] = mapped_column(Float)  # of those who are not held out
    holdout: Mapped[float] = mapped_column(Float)
    salt: Mapped[str] = mapped_column(String(32))
    days: Mapped[int]  # planned; nothing counts after them
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_by: Mapped[str] = mapped_column(String(254), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    adopted: Mapped[str | None] = mapped_column(String(8))
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    __table_args__ = (
        Index(
            "uq_comparisons_running",
            "placement",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )
