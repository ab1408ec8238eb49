"""What the pictures of items are drawn from: one motif a kind of thing, on a field of 400 by 400 whose floor is at 310.

`{a}` is the colour of the thing, `{b}` its shade, `{c}` its light, `{d}` the colour of a label, `{e}` of a handle.
"""

from __future__ import annotations

from typing import Final

_GLOSS: Final = '<rect x="{x}" y="{y}" width="12" height="{h}" rx="6" fill="#fff" opacity=".28"/>'


def _gloss(x: int, y: int, h: int) -> str:
    return _GLOSS.format(x=x, y=y, h=h)


def _line(path: str, width: int, colour: str = "{b}") -> str:
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>'


MOTIFS: Final[dict[str, str]] = {
    "bag": '<path d="M126 132h148l10 178H116z" fill="{a}"/><path d="M236 132h38l10 178h-32z" fill="{b}" opacity=".45"/>'
    '<path d="M126 132h148l-7-30H133z" fill="{b}"/><rect x="148" y="186" width="104" height="88" rx="8" fill="{d}"/>'
    '<path d="M200 204c26 14 26 40 0 54-26-14-26-40 0-54z" fill="{a}"/>' + _line("M200 208v46", 3, "{d}"),
    "tin": '<rect x="130" y="134" width="140" height="176" rx="12" fill="{a}"/>'
    '<rect x="122" y="104" width="156" height="40" rx="10" fill="{b}"/>'
    '<rect x="130" y="186" width="140" height="84" fill="{d}"/><circle cx="200" cy="228" r="26" fill="{a}"/>'
    '<path d="M200 212c16 8 16 24 0 34-16-10-16-26 0-34z" fill="{c}"/>' + _gloss(142, 150, 148),
    "bottle": '<path d="M182 90h36v58c0 20 36 26 36 64v84a14 14 0 0 1-14 14h-80a14 14 0 0 1-14-14v-84c0-38'
    ' 36-44 36-64z"'
    ' fill="{a}"/><rect x="177" y="66" width="46" height="32" rx="6" fill="{b}"/>'
    '<rect x="146" y="214" width="108" height="68" fill="{d}"/>'
    '<path d="M200 226c18 12 18 32 0 44-18-12-18-32 0-44z" fill="{a}"/>' + _gloss(158, 206, 96),
    "pump": '<rect x="142" y="160" width="116" height="150" rx="20" fill="{a}"/>'
    '<rect x="182" y="128" width="36" height="34" rx="4" fill="{b}"/>'
    + _line("M200 130v-28h-46", 14)
    + '<rect x="142" y="204" width="116" height="70" fill="{d}"/><circle cx="200" cy="239" r="18" fill="{a}"/>'
    + _gloss(154, 172, 126),
    "jar": '<rect x="132" y="142" width="136" height="168" rx="22" fill="{a}"/>'
    '<rect x="138" y="104" width="124" height="42" rx="9" fill="{b}"/>'
    '<rect x="132" y="196" width="136" height="76" fill="{d}"/><circle cx="200" cy="234" r="22" fill="{a}"/>'
    + _gloss(146, 156, 140),
    "glass jar": '<rect x="128" y="138" width="144" height="172" rx="24" fill="{c}"/>'
    '<path d="M128 224h144v62a24 24 0 0 1-24 24h-96a24 24 0 0 1-24-24z" fill="{a}" opacity=".75"/>'
    '<rect x="136" y="98" width="128" height="44" rx="10" fill="{b}"/>'
    + _line("M122 152h156", 8)
    + _gloss(146, 160, 130),
    "box": '<path d="M112 158h150v152H112z" fill="{a}"/><path d="M112 158l30-36h150l-30 36z" fill="{c}"/>'
    '<path d="M262 158l30-36v150l-30 38z" fill="{b}"/><rect x="134" y="192" width="106" height="80" rx="6" fill="{d}"/>'
    '<circle cx="187" cy="232" r="24" fill="{a}"/>',
    "packet": '<path d="M132 108h136v192l-12 10H144l-12-10z" fill="{a}"/>'
    + "".join(f'<path d="M{x} 108l8-12 9 12z" fill="{{b}}"/>' for x in range(132, 268, 17))
    + '<circle cx="200" cy="206" r="48" fill="{d}"/>'
    + _line("M174 216c10-30 20 14 30-14s16 6 24-6M172 198c12-20 22 10 34-8s14 2 22-6", 6, "{a}")
    + '<rect x="160" y="272" width="80" height="12" rx="6" fill="{c}"/>',
    "seeds": '<rect x="134" y="102" width="132" height="208" rx="6" fill="{a}"/>'
    '<rect x="134" y="102" width="132" height="36" rx="6" fill="{b}"/>'
    '<rect x="150" y="152" width="100" height="134" rx="8" fill="{d}"/>'
    '<path d="M200 276v-56" stroke="#5d7a4a" stroke-width="7" fill="none"/>'
    '<path d="M200 252c-34 2-38-22-36-30 26 0 36 12 36 30zM200 240c34 2 38-22 36-30-26 0-36 12-36 30z" fill="#7d9a63"/>'
    '<circle cx="200" cy="200" r="20" fill="{a}"/><circle cx="200" cy="200" r="8" fill="{c}"/>',
    "bar": '<g transform="rotate(-14 200 206)"><rect x="138" y="96" width="124" height="92" rx="4" fill="#5b3a29"/>'
    + _line("M138 127h124M138 157h124M179 96v92M220 96v92", 3, "#7a523c")
    + '<path d="M132 164l12 8 12-8 12 8 12-8 12 8 12-8 12 8 12-8 12 8 12-8 12 8 12-8 4 3v150H132z" fill="{a}"/>'
    '<rect x="132" y="216" width="136" height="58" fill="{d}"/><rect x="158" y="238" width="84" height="12" rx="6"'
    ' fill="{a}"/></g>',
    "biscuits": '<circle cx="156" cy="252" r="58" fill="{b}"/><circle cx="244" cy="252" r="58" fill="{a}"/>'
    '<circle cx="200" cy="178" r="62" fill="{c}"/>'
    + "".join(
        f'<circle cx="{x}" cy="{y}" r="6" fill="{{b}}"/>'
        for x, y in ((176, 160), (206, 148), (224, 178), (196, 190), (172, 200), (256, 240), (236, 268), (268, 266))
    ),
    "espresso": '<rect x="106" y="112" width="188" height="70" rx="14" fill="{a}"/>'
    '<rect x="116" y="182" width="66" height="104" fill="{b}"/><rect x="98" y="284" width="204" height="26" rx="9"'
    ' fill="{b}"/><rect x="112" y="98" width="176" height="16" rx="7" fill="{c}"/>'
    '<circle cx="144" cy="147" r="19" fill="{d}"/>'
    + _line("M144 147l9-10", 4)
    + '<rect x="206" y="182" width="56" height="20" rx="4" fill="#4a4a4c"/>'
    + _line("M262 192h52", 12, "{d}")
    + '<path d="M212 240h44v22a20 20 0 0 1-20 20h-4a20 20 0 0 1-20-20z" fill="#f6f1e7"/>'
    + _line("M256 248c16-2 16 22 0 20", 6, "#f6f1e7")
    + _line("M226 204v30M242 204v30", 3, "#5b3a29"),
    "grinder": '<path d="M144 108h112l-22 66h-68z" fill="{c}"/><path d="M158 138h84l-10 36h-64z" fill="#6b4631"/>'
    '<rect x="154" y="172" width="92" height="122" rx="12" fill="{a}"/><rect x="134" y="288" width="132" height="22"'
    ' rx="8" fill="{b}"/><circle cx="200" cy="216" r="17" fill="{e}"/><rect x="176" y="254" width="48"'
    ' height="34" rx="5"'
    ' fill="{b}"/>' + _line("M200 106V82h62", 8) + '<circle cx="266" cy="82" r="13" fill="{e}"/>',
    "brewer": '<rect x="142" y="134" width="110" height="170" rx="12" fill="{c}"/>'
    '<path d="M142 206h110v86a12 12 0 0 1-12 12h-86a12 12 0 0 1-12-12z" fill="#54372a"/>'
    + _line("M252 164h22a16 16 0 0 1 16 16v66a16 16 0 0 1-16 16h-22", 14, "{a}")
    + '<rect x="132" y="118" width="130" height="20" rx="9" fill="{a}"/><path d="M142 138l-22-8 12 28z" fill="{a}"/>'
    + _line("M197 120V82", 7, "{a}")
    + '<circle cx="197" cy="78" r="14" fill="{d}"/><rect x="134" y="296" width="126" height="14" rx="6" fill="{a}"/>'
    + _gloss(154, 146, 146),
    "moka": '<path d="M150 206h100l16 94a10 10 0 0 1-10 10H144a10 10 0 0 1-10-10z" fill="{a}"/>'
    '<path d="M148 128h104l-4 80h-96z" fill="{c}"/><path d="M148 128l-28-10 26 48z" fill="{c}"/>'
    '<path d="M146 128c8-26 100-26 108 0z" fill="{b}"/><circle cx="200" cy="98" r="12" fill="{e}"/>'
    '<rect x="146" y="200" width="108" height="14" rx="5" fill="{b}"/>'
    + _line("M254 142h28a10 10 0 0 1 10 12l-14 78", 14, "{e}"),
    "pour-over": '<path d="M136 122h128l-44 76h-40z" fill="{a}"/><path d="M136 122h128l-8 14H144z" fill="{b}"/>'
    '<rect x="150" y="196" width="100" height="10" rx="5" fill="{b}"/>'
    '<path d="M158 206h84l26 92a10 10 0 0 1-10 12H142a10 10 0 0 1-10-12z" fill="{c}"/>'
    '<path d="M145 250h110l13 48a10 10 0 0 1-10 12H142a10 10 0 0 1-10-12z" fill="#54372a"/>'
    + _line("M264 138c34 0 34 40 0 40", 10, "{a}"),
    "filters": '<path d="M104 140h192l-60 160a10 10 0 0 1-10 8h-52a10 10 0 0 1-10-8z" fill="{a}"/>'
    '<path d="M104 140h192l-14 28H118z" fill="{c}"/>'
    + _line("M146 168l34 138M200 168v140M254 168l-34 138", 3)
    + '<path d="M120 140l10-16h140l10 16z" fill="{b}" opacity=".6"/>',
    "teapot": '<path d="M118 220c0-56 36-88 82-88s82 32 82 88-34 90-82 90-82-34-82-90z" fill="{a}"/>'
    '<path d="M272 214c34 4 34-46 60-54l12 14c-24 20-26 80-76 80z" fill="{a}"/>'
    + _line("M124 182c-64-14-66 88-4 84", 16, "{a}")
    + '<path d="M156 142c8-28 80-28 88 0z" fill="{b}"/><circle cx="200" cy="112" r="13" fill="{e}"/>'
    '<path d="M136 262c12 30 36 48 64 48s52-18 64-48c-36 16-92 16-128 0z" fill="{b}" opacity=".4"/>',
    "kettle": '<path d="M122 300l18-116a22 22 0 0 1 22-20h76a22 22 0 0 1 22 20l18 116a9 9 0 0 1-9 10H131a9 9 0'
    ' 0 1-9-10z"'
    ' fill="{a}"/><path d="M256 232l70-62-12-18-66 32z" fill="{b}"/>'
    + _line("M150 164c0-86 100-86 100 0", 14, "{e}")
    + '<path d="M160 164c6-20 74-20 80 0z" fill="{b}"/><circle cx="200" cy="146" r="10" fill="{e}"/>'
    + _gloss(152, 190, 100),
    "infuser": _line("M200 60v54", 5, "{b}")
    + _line("M200 64h60", 5, "{b}")
    + '<circle cx="200" cy="206" r="88" fill="{a}"/>'
    + _line("M112 206h176", 8)
    + "".join(
        f'<circle cx="{x}" cy="{y}" r="5" fill="{{b}}"/>'
        for y, row in (
            (146, (176, 200, 224)),
            (168, (152, 176, 200, 224, 248)),
            (240, (140, 164, 188, 212, 236, 260)),
            (264, (164, 188, 212, 236)),
        )
        for x in row
    )
    + '<circle cx="200" cy="116" r="10" fill="{e}"/>',
    "loaf tin": '<path d="M78 186h244l-30 112a14 14 0 0 1-13 12H121a14 14 0 0 1-13-12z" fill="{a}"/>'
    '<rect x="66" y="174" width="268" height="22" rx="10" fill="{b}"/>'
    '<path d="M92 174c4-60 60-74 108-74s104 14 108 74z" fill="#c98d4b"/>'
    + _line("M142 124l16 34M192 112l14 40M244 122l8 34", 6, "#e9c48d"),
    "mixer": '<path d="M110 292a18 18 0 0 1 18-18h152a18 18 0 0 1 18 18v18H110z" fill="{b}"/>'
    '<path d="M112 284V150a34 34 0 0 1 34-34h28v168z" fill="{a}"/>'
    '<path d="M122 120a40 40 0 0 1 40-34h108a36 36 0 0 1 36 36v10a22 22 0 0 1-22 22H130z" fill="{a}"/>'
    + _line("M246 154v44", 10)
    + '<path d="M194 194h112c0 54-24 82-56 82s-56-28-56-82z" fill="#d4d8d8"/>'
    '<path d="M194 194h112l-2 16H196z" fill="#aeb5b6"/><circle cx="152" cy="128" r="12" fill="{d}"/>',
    "whisk": '<g transform="rotate(32 200 200)"><rect x="186" y="208" width="28" height="120" rx="14" fill="{a}"/>'
    + _line(
        "M200 210C120 150 160 54 200 54s80 96 0 156M200 210C156 150 176 54 200 54s44 96 0 156M200 54v156", 6, "#9aa2a4"
    )
    + "</g>",
    "rolling pin": '<g transform="rotate(-32 200 205)"><rect x="48" y="190" width="304" height="30" rx="15"'
    ' fill="{b}"/>'
    '<rect x="100" y="164" width="200" height="82" rx="22" fill="{a}"/>'
    '<rect x="116" y="176" width="168" height="12" rx="6" fill="{c}" opacity=".7"/></g>',
    "spatula": '<g transform="rotate(30 200 200)"><rect x="188" y="176" width="24" height="160" rx="12" fill="{b}"/>'
    '<path d="M156 76a20 20 0 0 1 20-20h48a20 20 0 0 1 20 20v84a24 24 0 0 1-24 24h-40a24 24 0 0 1-24-24z" fill="{a}"/>'
    '<path d="M184 80v78M216 80v78" stroke="{b}" stroke-width="8" stroke-linecap="round"/></g>',
    "pan": '<rect x="226" y="190" width="140" height="30" rx="15" fill="{e}" transform="rotate(24 176 205)"/>'
    '<circle cx="176" cy="196" r="98" fill="{a}"/><circle cx="176" cy="196" r="80" fill="{b}"/>'
    '<path d="M116 176a64 64 0 0 1 62-46" fill="none" stroke="#fff" stroke-opacity=".3" stroke-width="9"'
    ' stroke-linecap="round"/>',
    "casserole": '<rect x="70" y="212" width="46" height="24" rx="12" fill="{b}"/><rect x="284" y="212" width="46"'
    ' height="24" rx="12" fill="{b}"/><path d="M98 196h204v80a34 34 0 0 1-34 34H132a34 34 0 0 1-34-34z" fill="{a}"/>'
    '<path d="M94 196c0-46 48-68 106-68s106 22 106 68z" fill="{a}"/><rect x="90" y="190" width="220" height="14" rx="7"'
    ' fill="{b}"/><rect x="180" y="104" width="40" height="26" rx="11" fill="{e}"/>'
    '<path d="M120 176c12-20 34-30 60-32" fill="none" stroke="#fff" stroke-opacity=".35" stroke-width="9"'
    ' stroke-linecap="round"/>',
    "wok": '<path d="M76 190h248c-8 72-60 120-124 120S84 262 76 190z" fill="{a}"/>'
    '<ellipse cx="200" cy="190" rx="124" ry="26" fill="{b}"/>'
    + _line("M318 184l54-34", 18, "{e}")
    + _line("M72 186c-22-4-22-30 6-30", 10, "{e}"),
    "steamer": "".join(
        f'<rect x="106" y="{y}" width="188" height="54" rx="8" fill="{{a}}"/>'
        f'<rect x="100" y="{y}" width="200" height="14" rx="6" fill="{{b}}"/>'
        for y in (200, 256)
    )
    + '<path d="M100 200c0-48 44-64 100-64s100 16 100 64z" fill="{c}"/>'
    + _line("M124 190c20-30 46-36 76-36s56 6 76 36M164 190c8-18 20-24 36-24s28 6 36 24", 4)
    + '<rect x="184" y="118" width="32" height="20" rx="8" fill="{b}"/>',
    "knife": '<g transform="rotate(-38 200 205)"><path d="M34 186h200v50c-86 12-160-4-200-50z" fill="#c3cacb"/>'
    '<path d="M34 186h200v14H52z" fill="#9fa8aa"/><rect x="230" y="182" width="132" height="40" rx="16" fill="{a}"/>'
    '<circle cx="262" cy="202" r="5" fill="{c}"/><circle cx="296" cy="202" r="5" fill="{c}"/>'
    '<circle cx="330" cy="202" r="5" fill="{c}"/></g>',
    "board": '<rect x="118" y="92" width="164" height="218" rx="26" fill="{a}"/><circle cx="200" cy="122" r="12"'
    ' fill="{b}"/>' + _line("M146 160v126M176 176v110M206 160v130M232 190v94M258 156v128", 4),
    "bread bin": '<rect x="86" y="164" width="228" height="146" rx="26" fill="{a}"/>'
    '<path d="M86 190a54 54 0 0 1 54-54h120a54 54 0 0 1 54 54v14H86z" fill="{b}"/>'
    '<rect x="172" y="180" width="56" height="14" rx="7" fill="{d}"/>'
    '<rect x="148" y="234" width="104" height="34" rx="8" fill="{d}" opacity=".85"/>',
    "plate": '<circle cx="200" cy="200" r="118" fill="{a}"/><circle cx="200" cy="200" r="80" fill="{c}"/>'
    '<circle cx="200" cy="200" r="80" fill="none" stroke="{b}" stroke-width="4" opacity=".6"/>'
    '<path d="M112 168a92 92 0 0 1 52-56" fill="none" stroke="#fff" stroke-opacity=".4" stroke-width="8"'
    ' stroke-linecap="round"/>',
    "bowl": '<path d="M94 190h212c0 74-44 120-106 120S94 264 94 190z" fill="{a}"/>'
    '<ellipse cx="200" cy="190" rx="106" ry="25" fill="{b}"/><ellipse cx="200" cy="193" rx="92" ry="18" fill="{c}"/>',
    "mug": '<path d="M122 160h136v114a36 36 0 0 1-36 36h-64a36 36 0 0 1-36-36z" fill="{a}"/>'
    + _line("M258 184c64-8 64 92 0 86", 18, "{a}")
    + '<ellipse cx="190" cy="160" rx="68" ry="15" fill="{b}"/><ellipse cx="190" cy="163" rx="56" ry="10"'
    ' fill="#54372a"/>',
    "wine": "".join(
        f'<g transform="translate({x} {y})"><path d="M-38-110h76c6 66-6 108-30 112v84h-16V2c-24-4-36-46-30-112z"'
        ' fill="{c}" opacity=".92"/><path d="M-39-66h78c-2 40-12 64-31 68h-16c-19-4-29-28-31-68z" fill="{d}"'
        ' opacity=".85"/><rect x="-34" y="82" width="68" height="12" rx="6" fill="{b}"/></g>'
        for x, y in ((146, 204), (252, 216))
    ),
    "tumblers": "".join(
        f'<g transform="translate({x} {y})"><path d="M-50-90H50L40 66a12 12 0 0 1-12 10h-56a12 12 0 0 1-12-10z"'
        ' fill="{c}" opacity=".9"/><path d="M-46-26h92L40 66a12 12 0 0 1-12 10h-56a12 12 0 0 1-12-10z" fill="{a}"'
        ' opacity=".8"/>' + _line("M-20-70v130M10-70v130", 4) + "</g>"
        for x, y in ((142, 226), (256, 234))
    ),
    "carafe": '<path d="M172 92h56v62c0 32 50 44 50 98a58 58 0 0 1-58 58h-40a58 58 0 0 1-58-58c0-54 50-66 50-98z"'
    ' fill="{c}"/><path d="M126 232c8-6 20-10 32 0s32 10 44 0 32-8 44 0 20 8 30 2c2 6 2 12 2 18a58 58 0 0 1-58 58h-40'
    'a58 58 0 0 1-58-58c0-7 2-14 4-20z" fill="{a}" opacity=".8"/><rect x="164" y="72" width="72" height="28" rx="9"'
    ' fill="{d}"/>' + _gloss(178, 110, 50),
    "cutlery": _line("M126 200v110", 16, "{a}")
    + '<path d="M98 96v66a28 28 0 0 0 56 0V96h-12v56h-10V96h-12v56h-10V96z" fill="{a}"/>'
    + _line("M202 214v96", 16, "{a}")
    + '<path d="M190 92c30 20 30 80 20 130h-20z" fill="{a}"/>'
    + _line("M276 190v120", 16, "{a}")
    + '<ellipse cx="276" cy="140" rx="30" ry="46" fill="{a}"/><ellipse cx="276" cy="144" rx="20" ry="34" fill="{b}"'
    ' opacity=".5"/>',
    "servers": '<g transform="rotate(16 200 200)">'
    + _line("M176 180v150", 16, "{a}")
    + '<ellipse cx="176" cy="124" rx="38" ry="56" fill="{a}"/><ellipse cx="176" cy="128" rx="25" ry="41"'
    ' fill="{b}"/></g>'
    '<g transform="rotate(-16 200 200)">'
    + _line("M230 180v150", 16, "{c}")
    + '<path d="M192 80c0-20 76-20 76 0v56c0 30-16 46-38 46s-38-16-38-46z" fill="{c}"/>'
    + _line("M218 78v60M242 78v60", 8, "{b}")
    + "</g>",
    "linen": "".join(
        f'<rect x="{x}" y="{y}" width="{w}" height="44" rx="16" fill="{{{colour}}}"/>'
        for x, y, w, colour in ((96, 266, 208, "b"), (104, 224, 192, "a"), (100, 182, 200, "c"), (108, 140, 184, "a"))
    )
    + _line("M244 150v24M256 150v24M244 234v24M256 234v24", 5, "{d}"),
    "towel": _line("M96 100h208", 10, "#a88a63")
    + '<path d="M130 96h140v196a8 8 0 0 1-8 8H138a8 8 0 0 1-8-8z" fill="{a}"/>'
    '<path d="M214 96h56v150h-48a8 8 0 0 1-8-8z" fill="{b}"/>'
    '<path d="M130 252h84v14h-84zM130 274h84v8h-84zM214 206h56v12h-56z" fill="{d}"/>',
    "apron": _line("M160 110c0-60 80-60 80 0", 9, "{e}")
    + '<path d="M158 108h84c0 40 20 50 44 54v138a10 10 0 0 1-10 10H124a10 10 0 0 1-10-10V162c24-4 44-14 44-54z"'
    ' fill="{a}"/><path d="M156 216h88v40a16 16 0 0 1-16 16h-56a16 16 0 0 1-16-16z" fill="{b}"/>'
    + _line("M114 196H92M286 196h22", 9, "{e}"),
    "throw": '<path d="M92 172a30 30 0 0 1 30-30h156a30 30 0 0 1 30 30v100H92z" fill="{a}"/>'
    '<path d="M92 206h216v18H92zM92 236h216v10H92z" fill="{d}" opacity=".8"/><path d="M92 172a30 30 0 0 1 30-30h156'
    'a30 30 0 0 1 30 30z" fill="{c}"/>' + _line(" ".join(f"M{x} 272v32" for x in range(100, 308, 14)), 5, "{b}"),
    "cushion": '<path d="M112 116c30 14 146 14 176 0 20-8 32 8 26 26-12 34-12 92 0 126 6 18-6 36-26 28-30-14-146-14-176'
    ' 0-20 8-32-10-26-28 12-34 12-92 0-126-6-18 6-34 26-26z" fill="{a}"/>'
    + _line("M150 126v166M176 126v164M226 126v164M252 126v166", 7, "{d}")
    + '<circle cx="200" cy="206" r="11" fill="{b}"/>',
    "candle": '<rect x="134" y="172" width="132" height="138" rx="16" fill="{a}"/>'
    '<ellipse cx="200" cy="174" rx="66" ry="15" fill="{c}"/>'
    + _line("M200 172v-22", 5, "#4a4a4c")
    + '<path d="M200 82c26 30 22 58 0 66-22-8-26-36 0-66z" fill="#f0b048"/><path d="M200 112c12 14 10 30 0'
    " 34-10-4-12-20"
    ' 0-34z" fill="#fbe3a6"/><rect x="160" y="214" width="80" height="62" rx="6" fill="{d}"/>'
    '<rect x="176" y="240" width="48" height="8" rx="4" fill="{a}"/>',
    "diffuser": _line("M196 190L150 64M200 190l-8-134M204 190l30-130M206 190l60-112", 6, "#b08d5f")
    + '<path d="M170 176h60v22c0 10 34 16 34 44v54a14 14 0 0 1-14 14H150a14 14 0 0 1-14-14v-54c0-28 34-34 34-44z"'
    ' fill="{a}"/><rect x="164" y="164" width="72" height="20" rx="6" fill="{b}"/>'
    '<rect x="136" y="246" width="128" height="40" fill="{d}"/>' + _gloss(148, 234, 66),
    "basket": _line("M136 182c0-106 128-106 128 0", 14)
    + '<path d="M94 180h212l-24 118a14 14 0 0 1-14 12H132a14 14 0 0 1-14-12z" fill="{a}"/>'
    '<rect x="84" y="168" width="232" height="26" rx="12" fill="{b}"/>'
    + _line("M108 216h184M114 244h172M120 272h160", 5)
    + _line("M140 196l10 110M180 196l4 112M220 196l-4 112M260 196l-10 110", 5, "{c}"),
    "lamp": '<path d="M146 84h108l40 108H106z" fill="{c}"/><path d="M254 84l40 108h-44L226 84z" fill="{a}"'
    ' opacity=".35"/>'
    '<path d="M188 192h24l10 96h-44z" fill="{a}"/><rect x="148" y="286" width="104" height="24" rx="12" fill="{b}"/>',
    "brush": '<g transform="rotate(38 200 200)"><rect x="188" y="176" width="24" height="170" rx="12" fill="{a}"/>'
    '<rect x="150" y="120" width="100" height="62" rx="26" fill="{a}"/>'
    + _line(" ".join(f"M{x} 122V72" for x in range(160, 246, 10)), 6, "{e}")
    + "</g>",
    "planter": _line("M200 222v-70", 8, "#5d7a4a")
    + '<path d="M200 200c-70 6-86-52-82-78 54 0 82 30 82 78zM200 186c66 0 84-60 78-88-52 4-82 38-78 88z"'
    ' fill="#7d9a63"/>'
    '<path d="M200 176c-34-22-30-78 0-106 30 28 34 84 0 106z" fill="#5f8052"/>'
    '<path d="M128 228h144l-18 74a10 10 0 0 1-10 8h-88a10 10 0 0 1-10-8z" fill="{a}"/>'
    '<rect x="116" y="208" width="168" height="32" rx="9" fill="{b}"/>',
    "trowel": '<g transform="rotate(34 200 200)"><rect x="184" y="218" width="32" height="116" rx="16" fill="{a}"/>'
    '<rect x="192" y="168" width="16" height="56" fill="#8d9799"/>'
    '<path d="M200 44c42 40 52 92 34 130h-68c-18-38-8-90 34-130z" fill="#b7bfc0"/>'
    + _line("M200 76v80", 5, "#8d9799")
    + "</g>",
    "barbecue": _line("M152 226l-34 84M248 226l34 84M200 236v74", 9, "#55585a")
    + '<path d="M98 176h204c0 50-44 78-102 78S98 226 98 176z" fill="{b}"/>'
    '<path d="M98 172c0-56 44-88 102-88s102 32 102 88z" fill="{a}"/><rect x="88" y="166" width="224" height="16" rx="8"'
    ' fill="{d}"/><rect x="176" y="66" width="48" height="18" rx="9" fill="{d}"/>',
    "gift": '<rect x="106" y="184" width="188" height="126" rx="6" fill="{a}"/><rect x="94" y="148" width="212"'
    ' height="46"'
    ' rx="8" fill="{b}"/><rect x="182" y="148" width="36" height="162" fill="{d}"/>'
    '<path d="M200 148c-20-62-92-64-84-24 6 28 52 28 84 24zM200 148c20-62 92-64 84-24-6 28-52 28-84 24z" fill="{d}"/>'
    '<circle cx="200" cy="144" r="15" fill="{c}"/>',
    "bauble": _line("M200 48v44", 5, "#a88a63")
    + '<rect x="182" y="88" width="36" height="24" rx="5" fill="#c8a35a"/><circle cx="200" cy="208" r="98" fill="{a}"/>'
    '<path d="M104 190c50 30 142 30 192 0v34c-50 32-142 32-192 0z" fill="{d}"/>'
    '<path d="M134 166a72 72 0 0 1 38-38" fill="none" stroke="#fff" stroke-opacity=".45" stroke-width="10"'
    ' stroke-linecap="round"/>',
    "star": _line("M200 40v48", 5, "#a88a63")
    + '<path d="M200 84l34 82 88 6-68 56 22 86-76-48-76 48 22-86-68-56 88-6z" fill="{a}"/>'
    '<path d="M200 84v184l-76 46 22-86-68-56 88-6z" fill="{b}" opacity=".5"/>',
    "wrap": '<rect x="102" y="132" width="196" height="154" rx="6" fill="{c}" transform="rotate(-8 200 210)"/>'
    '<rect x="112" y="128" width="176" height="176" rx="6" fill="{a}"/>'
    '<path d="M112 128h176l-88 88z" fill="{b}"/><circle cx="200" cy="214" r="22" fill="{d}"/>',
}
