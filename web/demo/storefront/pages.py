"""The pages to look around: home, categories, search, items; and the cart."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from web.demo.storefront import cart, store
from web.demo.storefront.cart import Line, Refused
from web.demo.storefront.sets import Bill, Bundle
from web.demo.storefront.shelves import SORTS, Category, Item, paged
from web.demo.storefront.shop import later, note, shop


class Offer(NamedTuple):
    """A set on the page of the item that leads it; saves: in ten-thousandths."""

    bundle: Bundle
    items: list[Item]
    saves: int


blueprint = Blueprint("pages", __name__)
ROW: Final = 4  # items of a row of ours
WORDS: Final = 100  # letters of a search
NEW: Final = 48  # items that are new
SETS: Final = 2  # of one item


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The shop window."""
    shelves = shop().shelves
    newest = paged(shelves.sold, "new", 1).items[:ROW]
    window = [max((item for item in one.items), key=lambda item: item.sold) for one in shelves.departments[1:4]]
    return render_template("home.html", newest=newest, window=window)


@blueprint.get("/c/<path:slug>")
def category(slug: str) -> ResponseReturnValue:
    """A part of the shop."""
    found = shop().shelves.categories.get(slug)
    if found is None:
        abort(404)
    return _listing(found.name, found.items, category=found, way=shop().shelves.way(found.path))


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """What came lately."""
    newest = sorted(shop().shelves.sold, key=SORTS["new"][1])[:NEW]
    return _listing("New in the shop", newest, default="new")


@blueprint.get("/search")
def search() -> ResponseReturnValue:
    """What the words find."""
    words = " ".join(request.args.get("q", "")[:WORDS].split())
    found = shop().shelves.search(words)
    calls = [["search", words, {"results": len(found)}]] if words and "page" not in request.args else []
    return _listing(f"“{words}”" if words else "Search", found, words=words, default="", calls=calls)


def _listing(
    title: str,
    items: Any,
    *,
    category: Category | None = None,
    way: Any = (),
    words: str | None = None,
    default: str = "popular",
    calls: Any = (),
) -> ResponseReturnValue:
    sort = request.args.get("sort", default)
    sort = sort if sort in SORTS else default
    page = paged(items, sort, request.args.get("page", 1, type=int))
    own = {"sort": sort} if sort != default else {}
    own |= {"q": words} if words is not None else {}
    choices = (
        {"": "Best match", **{key: label for key, (label, _) in SORTS.items()}}
        if words is not None
        else {key: label for key, (label, _) in SORTS.items()}
    )

    def to(number: int) -> str:
        values: dict[str, Any] = {**(request.view_args or {}), **own, "page": number}
        return url_for(request.endpoint or "", **values)

    return render_template(
        "listing.html",
        title=title,
        page=page,
        sort=sort,
        choices=choices,
        category=category,
        way=way,
        words=words,
        before=to(page.number - 1) if page.number > 1 else None,
        after=to(page.number + 1) if page.number < page.pages else None,
        calls=list(calls),
    )


@blueprint.get("/items/<key>")
def item(key: str) -> ResponseReturnValue:
    """One item."""
    return _item(_wanted(key))


def _item(found: Item, fault: str = "", status: int = 200) -> ResponseReturnValue:
    calls = [] if fault else [["item", found.key, {"value": _price(found)}]]
    answer = render_template(
        "item.html",
        item=found,
        sets=_sets_of(found),
        left=_left([found.key]).get(found.key, 0) if found.active else 0,
        way=shop().shelves.way(found.category),
        fault=fault,
        calls=calls,
        most=cart.MOST_EACH,
    )
    return answer, status


@blueprint.post("/cart/add")
def add() -> ResponseReturnValue:
    """Put an item in; the page that follows tells Rapport."""
    found = _wanted(request.form.get("item", ""))
    try:
        number = cart.quantity(request.form.get("quantity", "1"))
        cart.add(shop().shelves, found, number, _left([found.key]).get(found.key, 0) if found.active else 0)
    except Refused as refused:
        return _item(found, refused.words, 422)
    later("cart_add", found.key, {"quantity": number, "value": _price(found)})
    note(f"{found.title} is in your cart.", href=url_for(".show_cart"), label="View cart")
    return redirect(url_for(".item", key=found.slug), 303)


@blueprint.post("/cart/add-set")
def add_set() -> ResponseReturnValue:
    """Put one of each of a set in, or nothing."""
    wanted = next((one for one in shop().sets.on_sale() if one.key == request.form.get("set")), None)
    if wanted is None or not all(shop().shelves.item(key) for key in wanted.items):
        note("That set is no longer on sale.")
        return redirect(url_for(".home"), 303)
    items = [_wanted(key) for key in wanted.items]
    try:
        cart.add_all(shop().shelves, items, _left([item.key for item in items if item.active]))
    except Refused as refused:
        which = shop().shelves.item(refused.item)
        return _item(items[0], f"{which.title}: {refused.words}" if which else refused.words, 422)
    for item in items:
        later("cart_add", item.key, {"quantity": 1, "value": _price(item)})
    note(f"{wanted.name} is in your cart.", href=url_for(".show_cart"), label="View cart")
    return redirect(url_for(".item", key=items[0].slug), 303)


def _sets_of(lead: Item) -> list[Offer]:
    """Sets that this item leads and that can be had now, the one that saves most first."""
    shelves, found = shop().shelves, []
    for one in shop().sets.on_sale():
        items = [item for key in one.items if (item := shelves.item(key)) and item.active]
        apart = sum(item.price for item in items)
        if items and items[0] == lead and len(items) == len(one.items) and one.price < apart:
            found.append(Offer(one, items, apart - one.price))
    left = _left([item.key for one in found for item in one.items]) if found else {}
    inside = [one for one in found if all(left.get(item.key, 0) > 0 for item in one.items)]
    return sorted(inside, key=lambda one: -one.saves)[:SETS]


@blueprint.get("/cart")
def show_cart() -> ResponseReturnValue:
    """What somebody is about to buy."""
    return _cart()


def _cart(fault: Refused | None = None) -> ResponseReturnValue:
    page = render_template(
        "cart.html",
        bill=bill(),
        fault=fault,
        most=cart.MOST_EACH,
    )
    return page, 422 if fault else 200


@blueprint.post("/cart")
def change_cart() -> ResponseReturnValue:
    """Set the quantities, or take one thing out."""
    shelves = shop().shelves
    before = cart.contents(shelves)
    gone = request.form.get("remove", "")
    wanted, typed = {}, ""
    try:
        for key in before:
            typed = key
            given = request.form.get(f"quantity-{key}")
            wanted[key] = 0 if key == gone else before[key] if gone or given is None else cart.quantity(given)
        changed = {key: number for key, number in wanted.items() if number != before[key]}
        cart.put(shelves, changed, _left(list(changed)))
    except Refused as refused:
        return _cart(Refused(refused.words, refused.item or typed))
    for key, number in changed.items():
        name = "cart_add" if number > before[key] else "cart_remove"
        found = shelves.all[key]
        later(name, key, {"quantity": abs(number - before[key]), "value": _price(found)})
        if number == 0:
            note(f"{found.title} is out of your cart.")
    return redirect(url_for(".show_cart"), 303)


def cart_lines() -> list[Line]:
    """The cart at the moment's prices and stock."""
    shelves = shop().shelves
    inside = cart.contents(shelves)
    left = _left(list(inside))
    return [Line(shelves.all[key], number, left.get(key, 0)) for key, number in inside.items()]


def bill() -> Bill:
    """The cart as it is charged."""
    return Bill.of(cart_lines(), shop().sets.on_sale())


def _left(keys: list[str]) -> dict[str, int]:
    with shop().database.read() as session:
        return store.stock_of(session, keys)


def _wanted(key: str) -> Item:
    found = shop().shelves.item(key) if len(key) <= 32 else None
    if found is None:
        abort(404)
    return found


def _price(found: Item) -> str:
    return f"{found.price / 10_000:.2f}"
