"""The history as one page for a browser: inline SVG, no scripts, nothing loaded from elsewhere. Pure.

Places along the time axis are percentages, so the same page fits a wide screen and a telephone.
"""

import time
from collections.abc import Iterator, Sequence
from html import escape

from buildguard.claims.model import Event, Proof
from buildguard.text import clock, cut
from buildguard.ui.timeline import Bar, Mark, Picture, figures, pictures
from buildguard.ui.voice import clean

_NAME_WIDTH, LONGEST_TITLE = 36, 400
"""Characters of a lane's name, which a narrow screen still has room for, and of what is told of one thing."""
_LANE, _NAME, _AXIS = 44, 14, 24
"""Pixels: the height of a lane, of its name in it, and of the axis."""
_TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MOST_TICKS = 5
_SHAPES = {
    "dot": '<circle r="5"/>',
    "ring": '<circle r="4.5" fill="none" stroke-width="2.5"/>',
    "diamond": '<path d="M0-6 6 0 0 6-6 0z"/>',
    "triangle": '<path d="M-5-5 6 0-5 5z"/>',
    "cross": '<path d="M-4-4 4 4M4-4-4 4" stroke-width="3"/>',
    "tick": '<path d="M0-8V8" stroke-width="2"/>',
}
_LOOKS = {
    "fixed": ("dot", "good", "fix committed"),
    "landed": ("dot", "part", "in part"),
    "recovered": ("ring", "good", "recovered"),
    "released": ("ring", "part", "released by word"),
    "taken_over": ("diamond", "taken", "taken over"),
    "sent": ("triangle", "sent", "fix handed over"),
    "gave_up": ("cross", "bad", "gave up"),
    "passed": ("tick", "good", "check passed"),
    "failed": ("tick", "bad", "check failed"),
}
"""Of what happened: its shape, its colour, and its word in the legend."""
_PLAIN_LOOK = ("ring", "plain", "")
_STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1c2430;--dim:#566173;--line:#d5dae2;--broken:#d1242f;
--fixing:#bf8700;--waiting:#8c959f;--good:#1a7f37;--taken:#8250df;--sent:#0969da}
@media(prefers-color-scheme:dark){:root{--back:#0f141b;--ink:#e6e9ee;--dim:#9aa5b5;--line:#2f3845;
--broken:#f85149;--fixing:#d29922;--waiting:#6e7681;--good:#3fb950;--taken:#a371f7;--sent:#58a6ff}}
body{background:var(--back);color:var(--ink);font:14px/1.45 system-ui,sans-serif;margin:0 auto;padding:16px;
max-width:1280px}h1{font-size:20px;margin:0}h2{font-size:15px;margin:28px 0 4px}
p,li{color:var(--dim);margin:4px 0;overflow-wrap:anywhere}ul{padding-left:0;list-style:none}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:8px;margin:16px 0}
dl div{border:1px solid var(--line);border-radius:6px;padding:6px 10px}dt{color:var(--dim);font-size:12px}
dd{margin:0;font-size:17px}svg{display:block}svg.c{width:100%;overflow:hidden}
.k span{display:inline-flex;align-items:center;gap:4px;margin-right:14px}
text{fill:var(--ink);font:12px ui-monospace,monospace;paint-order:stroke;stroke:var(--back);stroke-width:3px}
text.x{fill:var(--dim)}text.n{fill:#fff;font-weight:bold;stroke:none}line{stroke:var(--line)}
line.taken{stroke:var(--taken)}line.sent{stroke:var(--sent)}
.broken{fill:var(--broken)}.fixing{fill:var(--fixing)}.waiting{fill:var(--waiting)}
.good{fill:var(--good);stroke:var(--good)}.bad{fill:var(--broken);stroke:var(--broken)}
.part{fill:var(--fixing);stroke:var(--fixing)}.taken{fill:var(--taken);stroke:var(--taken)}
.sent{fill:var(--sent);stroke:var(--sent)}.plain{fill:var(--dim);stroke:var(--dim)}
"""
_RULES = "default-src 'none'; style-src 'unsafe-inline'"


def page(events: Sequence[Event], proofs: Sequence[Proof], now: float, build: str) -> str:
    """The whole page. Text from outside stands in it as text."""
    found = pictures(events, proofs, now)
    told = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in figures(events, proofs))
    shapes = "".join(f'<g id="{name}">{shape}</g>' for name, shape in _SHAPES.items())
    when = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now))
    many = f"{len(events)} events" if len(events) != 1 else "1 event"
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_RULES}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>buildguard: build {_text(build)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Build {_text(build)}</h1><p>{many}, as of {_text(when)}; newest first, local time</p>",
            f'<dl>{told}</dl><svg width="0" height="0"><defs>{shapes}</defs></svg><p class="k">{_legend()}</p>',
            *(part for picture in reversed(found) for part in _section(picture)),
            "</body></html>\n",
        ]
    )


def _legend() -> str:
    parts = [(f'<rect class="{kind}" width="16" height="12"/>', kind) for kind in ("broken", "fixing", "waiting")]
    parts += [(f"{_symbol(kind, '8', 8)}</use>", word) for kind, (_, _, word) in _LOOKS.items()]
    return "".join(f'<span><svg width="16" height="16">{shape}</svg>{word}</span>' for shape, word in parts)


def _section(picture: Picture) -> Iterator[str]:
    """One stretch of time: the lanes, and below them the breakages in words."""
    broken = [bar for bar in picture.bars if bar.kind == "broken"]
    scopes = dict.fromkeys(bar.lane for bar in broken)
    acting = [(bar.since, bar.lane) for bar in picture.bars if bar.kind != "broken"]
    acting += [(mark.at, name) for mark in picture.marks for name in (mark.out_of, mark.lane) if name]
    agents = dict.fromkeys(name for _, name in sorted(acting))
    lanes = [("broken", name) for name in scopes] + [("", name) for name in agents]
    tops = {lane: number * _LANE for number, lane in enumerate(lanes)}
    height = len(lanes) * _LANE
    last = time.strftime("%H:%M", time.localtime(picture.until))
    yield f"<h2>{time.strftime('%A %Y-%m-%d %H:%M', time.localtime(picture.since))} to {last}</h2>"
    yield f'<svg class="c" height="{height + _AXIS}" role="img">'
    yield from _axis(picture, height)
    for (kind, name), top in tops.items():
        shown = f"broken: {name}" if kind else name
        yield f'<line x2="100%" y1="{top}" y2="{top}"/>'
        yield f'<text y="{top + _NAME}">{_text(cut(shown, _NAME_WIDTH))}<title>{_text(shown)}</title></text>'
    for bar in picture.bars:
        yield _bar(picture, bar, tops["broken" if bar.kind == "broken" else "", bar.lane])
    for mark in picture.marks:
        yield _mark(picture, mark, tops)
    yield "</svg><ul>"
    for bar in sorted(broken, key=lambda bar: bar.number):
        yield f"<li>#{bar.number} {_text(bar.title)}</li>"
    yield "</ul>"


def _axis(picture: Picture, height: int) -> Iterator[str]:
    lasts = picture.until - picture.since
    step = next((one for one in _TICK_SECONDS if lasts / one <= _MOST_TICKS), _TICK_SECONDS[-1])
    # Round times on the wall's clock: zones are not whole hours apart.
    at = picture.since + (-(picture.since + time.localtime(picture.since).tm_gmtoff)) % step
    while at <= picture.until:
        x = _x(picture, at)
        if 7 <= x <= 93:
            word = clock(at, at) if step >= 60 else time.strftime("%H:%M:%S", time.localtime(at))
            yield f'<line x1="{x:.2f}%" x2="{x:.2f}%" y2="{height}"/>'
            yield f'<text class="x" x="{x:.2f}%" y="{height + 16}" text-anchor="middle">{word}</text>'
        at += step


def _bar(picture: Picture, bar: Bar, top: int) -> str:
    x, end = _x(picture, bar.since), _x(picture, bar.until)
    place = f'x="{x:.2f}%" y="{top + 19}" width="{max(0.2, end - x):.2f}%" height="18"'
    middle, number = f"{(x + end) / 2:.2f}%", ""
    if bar.kind == "broken" and end - x >= 3 + 2 * len(str(bar.number)):
        number = f'<text class="n" x="{middle}" y="{top + 32}" text-anchor="middle">#{bar.number}</text>'
    return f'<rect class="{bar.kind}" {place}><title>{_text(bar.title)}</title></rect>{number}'


def _mark(picture: Picture, mark: Mark, tops: dict[tuple[str, str], int]) -> str:
    x, y = f"{_x(picture, mark.at):.2f}%", tops["", mark.lane] + 28
    line = ""
    if mark.out_of:
        kind, start = _LOOKS.get(mark.kind, _PLAIN_LOOK)[1], tops["", mark.out_of] + 28
        line = f'<line class="{kind}" x1="{x}" x2="{x}" y1="{start}" y2="{y}"/>'
    return f"{line}{_symbol(mark.kind, x, y)}<title>{_text(mark.title)}</title></use>"


def _symbol(kind: str, x: str, y: int) -> str:
    shape, colour, _ = _LOOKS.get(kind, _PLAIN_LOOK)
    return f'<use href="#{shape}" class="{colour}" x="{x}" y="{y}">'


def _x(picture: Picture, at: float) -> float:
    """Where that time lies, in percent."""
    share = (at - picture.since) / (picture.until - picture.since)
    return 100.0 * min(1.0, max(0.0, share))


def _text(words: str) -> str:
    """Words from anywhere, as text in a page."""
    return escape(clean(cut(words, LONGEST_TITLE)))
