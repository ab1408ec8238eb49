"""Criteria in words: short, true to the tree, brackets only where "and" meets "or"."""

from __future__ import annotations

from typing import Any

import pytest

from engine import criteria
from tests.engine.criteria.world import MemoryCatalogue, World

UK = {"field": "country", "operator": "is", "value": "United Kingdom"}
RICH = {"field": "income", "operator": "at_least", "value": 30_000.5}
ADULT = {"field": "age", "operator": "between", "value": [18, 25]}


def did(operator: str, value: Any, event: str = "order", **more: Any) -> dict[str, Any]:
    """A count of events."""
    given = {} if value is None else {"value": value}
    return {"event": event, "measure": "count", "operator": operator, **given, **more}


BEFORE = {"last_days": 90, "before": "2011-12-01"}
SENTENCES: list[tuple[Any, str, str]] = [
    ({"all": []}, "All contacts", "所有联系人"),
    (
        {"all": [UK, did("at_least", 3, within=BEFORE)]},
        "People in United Kingdom who ordered at least 3 times between 2 Sep 2011 and 30 Nov 2011",
        "国家为United Kingdom，且在2011年9月2日至2011年11月30日期间下单至少3次的联系人",
    ),
    (
        {"all": [{"any": [UK, RICH]}, ADULT]},
        "People (in United Kingdom or whose yearly income is at least £30,000.50) and aged between 18 and 25",
        "（国家为United Kingdom或年收入不低于£30,000.50），且年龄18至25岁的联系人",
    ),
    (
        {"any": [UK, {"any": [RICH, {"all": [ADULT]}]}]},
        "People in United Kingdom or whose yearly income is at least £30,000.50 or aged between 18 and 25",
        "国家为United Kingdom或年收入不低于£30,000.50或年龄18至25岁的联系人",
    ),
    (
        {"none": [UK, did("at_least", 1, within={"last_days": 30})]},
        "People not in United Kingdom who did not order in the last 30 days",
        "国家不为United Kingdom，且在最近30天内没有下单的联系人",
    ),
    (
        {"not": {"all": [UK, {"not": ADULT}]}},
        "People not in United Kingdom or aged between 18 and 25",
        "国家不为United Kingdom或年龄18至25岁的联系人",
    ),
    (
        {"not": ADULT},
        "People whose age is not between 18 and 25",
        "年龄不在18至25之间的联系人",
    ),
    (
        {"at_least": 2, "of": [UK, ADULT, did("is", 1, "call")]},
        "People who meet at least 2 of these (in United Kingdom; aged between 18 and 25; who called exactly 1 time)",
        "至少满足以下2项（国家为United Kingdom；年龄18至25岁；来电恰好1次）的联系人",
    ),
    (
        {"not": did("at_least", 3, "item_view", within={"from": "2024-02-29", "to": "2024-03-01"})},
        "People who viewed an item less than 3 times on 29 Feb 2024",
        "在2024年2月29日当天浏览商品少于3次的联系人",
    ),
    (
        did("at_most", 0, "search", within={"from": "2024-05-01T10:30"}),
        "People who did not search since 1 May 2024 10:30",
        "自2024年5月1日 10:30以来没有搜索的联系人",
    ),
    (
        {**did("at_least", 100, within={"to": "2024-05-01"}), "measure": "sum", "property": "total",
         "where": [{"field": "category", "operator": "within", "value": "Food > Wine"},
                   {"field": "channel", "operator": "is", "value": "web"}]},
        "People whose total amount of orders before 1 May 2024 where the category is in “Food > Wine”"
        " and the channel is “web” is at least £100",
        "在2024年5月1日之前订单总金额（类别属于“Food > Wine”，且渠道为“web”）不低于£100的联系人",
    ),
    (
        {"all": [{"list": 1}, {"not": {"list": 1}}, {"field": "recency", "operator": "more_than", "value": 1000}]},
        "People on the list “VIP” and not on the list “VIP” who last ordered more than 1,000 days ago",
        "在名单“VIP”中，且不在名单“VIP”中，且上次下单在超过1,000天前的联系人",
    ),
    (
        {"include": {"all": [UK, ADULT]}, "exclude": {"any": [did("at_least", 1), {"list": 1}]}},
        "People in United Kingdom and aged between 18 and 25, except people who ordered or on the list “VIP”",
        "国家为United Kingdom，且年龄18至25岁的联系人，但下单或在名单“VIP”中的联系人除外",
    ),
    (
        {"include": did("at_least", 3), "exclude": UK, "unit": "household"},
        "Households with people who ordered at least 3 times, except those with people in United Kingdom",
        "成员下单至少3次的家庭，但成员国家为United Kingdom的除外",
    ),
    (
        {"include": {"all": []}, "unit": "account"},
        "All accounts",
        "所有客户单位",
    ),
    (
        {"include": {"all": []}, "exclude": UK},
        "All contacts, except people in United Kingdom",
        "所有联系人，但国家为United Kingdom的联系人除外",
    ),
    (
        {"all": [{"field": "spend", "operator": "top_percent", "value": 12.5},
                 {"field": "birth_date", "operator": "anniversary_in_next", "value": 7},
                 {"field": "birth_date", "operator": "in_month", "value": 3},
                 {"field": "created_at", "operator": "in_period", "value": "last_week"},
                 {"field": "created_at", "operator": "not_on_weekday", "value": 7}]},
        "People whose total spend is among the highest 12.5%, whose birth date has its anniversary in the next 7 days,"
        " whose birth date is in March, whose first day with us is last week, and whose first day with us is not on a"
        " Sunday",
        "累计消费位于最高的12.5%，且出生日期的周年日在未来7天内，且出生日期在三月，且建档时间在上周，且建档时间不在星期日的联系人",
    ),
    (
        {"any": [{"field": "attributes.tags", "operator": "has_all", "value": ["red", "dry", "old"]},
                 {"field": "attributes.tags", "operator": "has_any", "value": ["red", "dry"]},
                 {"field": "attributes.tags", "operator": "has_at_least", "value": 2},
                 {"field": "city", "operator": "matches", "value": "^s.*y$"}]},
        "People whose tags include “red”, “dry” and “old”, whose tags include “red” or “dry”, whose tags number at"
        " least 2, or whose city matches the pattern “^s.*y$”",
        "tags同时包含“red”、“dry”和“old”或tags包含“red”或“dry”或tags不少于2个或城市符合模式“^s.*y$”的联系人",
    ),
    (
        {"sequence": [{"event": "item_view", "where": [{"field": "brand", "operator": "is", "value": "Dune"}]},
                      {"event": "cart_add", "days": 1}, {"event": "order", "days": 7, "not": True}],
         "within": {"last_days": 30}},
        "People who viewed an item where the brand is Dune in the last 30 days, then put an item in the cart within 1"
        " day, then did not order within 7 days",
        "先后在最近30天内浏览商品（品牌为Dune），随后1天内加入购物车，随后7天内没有下单的联系人",
    ),
    (
        {"sequence": [{"event": "item_view"}, {"event": "cart_add", "minutes": 90},
                      {"event": "order", "hours": 2, "not": True}], "within": {"last_hours": 36}},
        "People who viewed an item in the last 36 hours, then put an item in the cart within 90 minutes, then did not"
        " order within 2 hours",
        "先后在最近36小时内浏览商品，随后90分钟内加入购物车，随后2小时内没有下单的联系人",
    ),
    (
        {"all": [did("is", 0, within={"since": {"event": "cart_abandon"}, "hours": 1}),
                 did("at_least", 1, "call", within={"last_hours": 1}),
                 did("at_most", -30, within={"last_minutes": 45}, compared_to="previous")]},
        "People who did not order in the 1 hour after they last abandoned a cart, who called in the last hour, and"
        " whose number of orders in the last 45 minutes fell by at least 30% against the 45 minutes before",
        "在上次放弃购物车之后1小时内没有下单，且在最近1小时内来电，且在最近45分钟内订单次数与此前45分钟相比下降至少30%的联系人",
    ),
    (
        {"not": {"sequence": [{"event": "order"}, {"event": "order"}]}},
        "People who are not among those who ordered, then ordered",
        "不属于先后下单，随后下单的联系人",
    ),
    (
        {"all": [UK, {"sample": {"percent": 10}}]},
        "People in United Kingdom and in a random sample of 10%",
        "国家为United Kingdom，且属于10%的随机样本的联系人",
    ),
    (
        {"not": {"sample": {"percent": 2.5, "seed": 7}}},
        "People not in a random sample of 2.5% (seed 7)",
        "不属于2.5%的随机样本（种子7）的联系人",
    ),
    (
        {"all": [did("is", 0, within={"since": {"event": "cart_abandon"}}),
                 did("at_least", 2, "call", within={"since": {"event": "order"}, "days": 14})]},
        "People who did not order since they last abandoned a cart and who called at least 2 times in the 14 days after"
        " they last ordered",
        "自上次放弃购物车以来没有下单，且在上次下单之后14天内来电至少2次的联系人",
    ),
    (
        {"all": [did("at_most", -30, within={"last_days": 90}, compared_to="previous"),
                 did("not_at_least", 50, within={"from": "2024-01-01", "to": "2024-02-01"}, compared_to="previous"),
                 did("between", [-10, 10], "call", within={"last_days": 7}, compared_to="previous"),
                 did("known", None, "call", within={"last_days": 7}, compared_to="previous")]},
        "People whose number of orders in the last 90 days fell by at least 30% against the 90 days before, whose"
        " number of orders between 1 Jan 2024 and 31 Jan 2024 did not rise by at least 50% against the equally long"
        " time before, whose number of calls in the last 7 days changed by between -10 and 10% against the 7 days"
        " before, and whose change of number of calls in the last 7 days against the 7 days before, in percent, is"
        " known",
        "在最近90天内订单次数与此前90天相比下降至少30%，且在2024年1月1日至2024年1月31日期间订单次数与此前同样长的时间相比并未"
        "上升至少50%，且在最近7天内来电次数与此前7天相比变化-10至10%，且在最近7天内来电次数与此前7天相比的变化百分比已知的联系人",
    ),
    (
        {"any": [{**did("before", "2024-05-01"), "measure": "first_at"},
                 {**did("at_least", 30), "measure": "days_since"},
                 {**did("is", "web"), "measure": "last", "property": "channel"},
                 did("at_least", 2, "return"),
                 {"field": "overdue", "operator": "more_than", "value": 1.5}]},
        "People whose time of the first of the orders is before 1 May 2024, whose number of days since the last of the"
        " orders is at least 30, whose channel of the last of the orders is “web”, who returned something at least 2"
        " times, or whose time since the last order as a multiple of the mean gap is more than 1.5",
        "首次订单时间早于2024年5月1日或距最近一次订单的天数不低于30或最近一次订单的渠道为“web”或退货至少2次或"
        "距上次下单时间相当于平均下单间隔的倍数大于1.5的联系人",
    ),
    (  # "and" stands before a bracket
        {"all": [{"field": "age", "operator": "at_least", "value": 30},
                 {"any": [did("at_least", 1, "call"), did("at_least", 1)]}, did("at_least", 1, "return")]},
        "People aged at least 30 and (who called or who ordered) and who returned something",
        "年龄至少30岁，且（来电或下单），且退货的联系人",
    ),
    (  # an hour that the clock shows twice
        did("at_least", 1, within={"from": "2026-10-25T00:15:00Z", "to": "2026-10-25T01:15:00Z"}),
        "People who ordered from 25 Oct 2026 01:15 UTC+01:00 until 25 Oct 2026 01:15 UTC+00:00",
        "自2026年10月25日 01:15 UTC+01:00起至2026年10月25日 01:15 UTC+00:00之前下单的联系人",
    ),
    (
        {"field": "postcode", "operator": "in", "value": [f"N{number}" for number in range(12)]},
        "People whose postcode is N0, N1, N2, N3, N4, N5, N6, N7, N8, N9 or 2 more",
        "邮政编码为N0、N1、N2、N3、N4、N5、N6、N7、N8、N9或其他2个值的联系人",
    ),
    (
        {"field": "last_name", "operator": "is_not", "value": "<b>O'Neil & 梅🙂"},
        "People whose last name is not “<b>O'Neil & 梅🙂”",
        "姓氏不为“<b>O'Neil & 梅🙂”的联系人",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "english", "chinese"), SENTENCES, ids=lambda part: str(part)[:50])
def test_the_sentence(data: Any, english: str, chinese: str) -> None:
    """In both languages."""
    catalogue = MemoryCatalogue(World(lists={1: [1]}), None)
    catalogue.names = {1: "VIP"}
    read = criteria.parse(data, catalogue)
    assert criteria.sentence(read) == english
    assert criteria.sentence(read, "zh_Hans_CN") == chinese


def test_items_are_called_by_their_name() -> None:
    """In conditions and where an item is told; one that is gone, or has no title, by its number."""
    items = [{"id": 1, "key": "85123A", "title": "White Heart"}, {"id": 2, "key": "22423", "title": None}]
    catalogue = MemoryCatalogue(World(items=items), None)
    for operator, value, en, zh in (
        ("is", "85123A", "the item is “White Heart”", "商品为“White Heart”"),
        (
            "not_in",
            ["85123A", "22423", "gone"],
            "is not “White Heart”, “22423” or “gone”",
            "不为“White Heart”、“22423”或“gone”",
        ),
        ("starts_with", "85123A", "the item starts with “85123A”", "以“85123A”开头"),
    ):
        asked = criteria.parse(
            did("at_least", 1, where=[{"field": "item", "operator": operator, "value": value}]), catalogue
        )
        assert en in criteria.sentence(asked)
        assert zh in criteria.sentence(asked, "zh_Hans_CN")
    last = {"event": "item_view", "measure": "last", "property": "item", "operator": "is", "value": "85123A"}
    assert "“White Heart”" in criteria.sentence(criteria.parse(last, catalogue))
