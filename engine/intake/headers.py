"""Headers of other systems' exports (Mailchimp, Shopify, HubSpot, WooCommerce) and of other languages.

Beside names and aliases of a column, and after them; as `kinds.fold` compares: case, blanks, - and _ do not matter.
"""

from __future__ import annotations

from typing import Final

Headers = dict[str, tuple[str, ...]]  # column -> headers

_PERSON: Final[Headers] = {
    "email": ("mail", "billing email", "e-mail-adresse", "adresse e-mail", "courriel", "邮箱", "电子邮件"),
    "phone": (
        *("phone number", "mobile phone", "mobile phone number", "default address phone", "billing phone"),
        *("telefon", "telefonnummer", "handy", "téléphone", "portable", "手机", "手机号", "电话"),
    ),
}

FOREIGN: Final[dict[str, Headers]] = {
    "contacts": {
        **_PERSON,
        "key": (
            *("customer number", "customer no", "record id", "user id", "kundennummer", "kunden-nr"),
            *("numéro client", "n° client", "客户编号", "会员号"),
        ),
        "first_name": ("fname", "billing first name", "vorname", "prénom", "名", "名字"),
        "last_name": ("lname", "billing last name", "nachname", "familienname", "nom", "nom de famille", "姓", "姓氏"),
        "birth_date": ("dob", "geburtsdatum", "geburtstag", "date de naissance", "生日", "出生日期"),
        "country": ("country/region", "default address country code", "billing country", "land", "pays", "国家"),
        "region": (
            *("state/region", "province", "default address province code", "billing state", "bundesland"),
            *("région", "省", "省份"),
        ),
        "city": ("default address city", "billing city", "ort", "stadt", "ville", "城市"),
        "postcode": (
            *("zip code", "default address zip", "billing postcode", "plz", "postleitzahl", "code postal"),
            *("邮编", "邮政编码"),
        ),
        "language": ("preferred language", "locale", "sprache", "langue", "语言"),
        "email_consent": ("accepts email marketing", "accepts marketing", "email opt-in"),
        "sms_consent": ("accepts sms marketing", "sms opt-in"),
        "account": ("company name", "billing company", "default address company", "firma", "société", "公司"),
    },
    "items": {
        "key": ("variant sku", "article number", "artikelnummer", "artikel-nr", "référence", "商品编号", "货号"),
        "title": ("product name", "bezeichnung", "artikelname", "désignation", "商品名称", "名称"),
        "category": ("product category", "categories", "kategorie", "warengruppe", "catégorie", "类别", "分类"),
        "brand": ("vendor", "manufacturer", "marke", "hersteller", "marque", "品牌"),
        "price": ("variant price", "regular price", "preis", "verkaufspreis", "prix", "价格", "单价"),
        "cost": ("cost per item", "einkaufspreis", "prix d'achat", "成本"),
        "stock": ("variant inventory qty", "lagerbestand", "bestand", "库存"),
        "image_url": ("image src", "images", "图片"),
    },
    "orders": {
        **_PERSON,
        "order": ("order number", "order no", "bestellnummer", "rechnungsnummer", "numéro de commande", "订单号"),
        "at": ("created at", "paid at", "bestelldatum", "rechnungsdatum", "date de commande", "下单时间", "日期"),
        "contact": ("customer number", "customer user id", "kundennummer", "numéro client", "客户编号", "会员号"),
        "item": ("lineitem sku", "article number", "artikelnummer", "référence", "商品编号", "货号"),
        "quantity": ("lineitem quantity", "menge", "anzahl", "quantité", "数量"),
        "unit_price": ("lineitem price", "item cost", "einzelpreis", "stückpreis", "prix unitaire", "单价"),
        "discount": ("lineitem discount", "rabatt", "remise", "折扣"),
        "title": ("lineitem name", "item name", "bezeichnung", "désignation", "商品名称"),
        "currency": ("währung", "devise", "币种"),
        "store": ("location", "filiale", "magasin", "门店"),
    },
    "events": _PERSON,
}
