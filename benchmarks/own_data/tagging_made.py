"""Made rows for taggers: titles of products and lines of logs, with labels in IOB2.

The words are ambiguous as those of real rows are: a colour is part of a brand, a user has the name of a program, a
number is a port, a process or a duration by what stands around it. Brands, users and hosts are drawn from a large
number, so that many of them occur once.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Row = tuple[list[str], list[str]]
Part = tuple[str, str]
"""Words separated by spaces, and the type of the entity that they are; "" for none."""


def _words(text: str) -> list[str]:
    return text.split()


_SYLLABLES = _words("ka lo mi ren tov sal ba dri que fen nor ul pa zi gor en ty ma ve sto har li xo bra nu del")
_NOISE = 0.03  # of words that lose a letter


def _row(parts: list[Part]) -> Row:
    words: list[str] = []
    labels: list[str] = []
    for text, kind in parts:
        for place, word in enumerate(text.split()):
            words.append(word)
            prefix = "I" if place else "B"
            labels.append(f"{prefix}-{kind}" if kind else "O")
    return words, labels


def _rows(n: int, parts_of: Callable[[random.Random], list[Part]]) -> list[Row]:
    rng = random.Random(0)
    return [_row(parts_of(rng)) for _ in range(n)]


def _name(rng: random.Random) -> str:
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 2, 3))))


# Titles of products

_COLOURS = _words("black white red blue green grey silver gold orange pink brown navy beige olive rose ivory")
_SHADES = ["dark", "light", "matte", "bright", "deep"]
_BRANDS = [
    "Black Forest",
    "Red Mill",
    "Orange",
    "Silver Line",
    "Stone & Oak",
    "Blue Ridge",
    "North Gold",
    "Cotton House",
    "Olive Tree",
    "Steel Brothers",
    "Pearl",
    "Kitchen Works",
    "Home Line",
    "Sport One",
    "Grey Goose",
    "Rose Garden",
    "Oak Street",
    "Gold Star",
    "Lamp Post",
    "Glass House",
    "",
]
_MATERIALS = _words("cotton leather steel oak glass wool silk plastic bamboo linen aluminium stone denim ceramic")
_TYPES = {
    "shoes": ["running shoes", "boots", "sneakers", "sandals", "shoe rack"],
    "clothes": ["shirt", "t-shirt", "jeans", "jacket", "dress shirt", "dress", "rain coat", "coat hook"],
    "kitchen": ["pan", "water bottle", "bottle opener", "coffee mug", "coffee grinder", "knife set", "glass jar"],
    "home": ["desk lamp", "lamp shade", "table", "table cloth", "chair", "steel wool", "rose pot", "wall clock"],
    "devices": ["headphones", "phone case", "charger", "keyboard", "monitor arm", "monitor", "watch strap", "watch"],
}
_AUDIENCES = ["men's", "women's", "kids", "for men", "for women", "unisex", "for dogs", "baby"]
_LINES = _words("Air Storm Classic Pro Max Eco Urban Trail Slim Nova Flex Ultra Pure Basic")


def _brand(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(_BRANDS)
    name = _name(rng).capitalize()
    return f"{name} {rng.choice(_COLOURS + _MATERIALS + _LINES).capitalize()}" if rng.random() < 0.25 else name


def _model(rng: random.Random) -> str:
    number = str(rng.choice((rng.randint(2, 12), rng.randint(100, 990), rng.randint(2018, 2026))))
    code = f"{rng.choice('ABXTRZ')}{rng.randint(1, 99)}"
    line = rng.choice(_LINES)
    return rng.choice((line, f"{line} {number}", code, f"{line} {code}", number))


def _size(rng: random.Random, group: str) -> str:
    if group == "shoes":
        return rng.choice((str(rng.randint(36, 47)), f"EU {rng.randint(36, 47)}", f"{rng.randint(6, 12)}.5", "size 9"))
    if group == "clothes":
        return rng.choice(("S", "M", "L", "XL", "size M", "32 / 34", f"W{rng.randint(28, 38)}", "40"))
    if group == "kitchen":
        return rng.choice((f"{rng.randint(2, 15) * 100} ml", f"{rng.randint(14, 32)} cm", "1.5 l", "0.75l"))
    if group == "home":
        return rng.choice((f"{rng.randint(4, 20) * 10} x {rng.randint(4, 20) * 10} cm", f"{rng.randint(20, 180)}cm"))
    return rng.choice((f"{rng.randint(5, 32)} inch", f'{rng.randint(5, 32)}"', f"{rng.randint(38, 46)} mm", "65W"))


def _product(rng: random.Random) -> list[Part]:
    group = rng.choice(list(_TYPES))
    colour = rng.choice(_COLOURS)
    if rng.random() < 0.25:
        colour = f"{rng.choice(_SHADES)} {colour}"
    if rng.random() < 0.1:
        colour = f"{colour} / {rng.choice(_COLOURS)}"
    optional = [
        (0.5, (_model(rng), "MODEL")),
        (0.4, (rng.choice(_AUDIENCES), "AUDIENCE")),
        (0.5, (rng.choice(_MATERIALS), "MATERIAL")),
        (1.0, (rng.choice(_TYPES[group]), "TYPE")),
    ]
    middle = [part for chance, part in optional if rng.random() < chance]
    if rng.random() < 0.15:
        rng.shuffle(middle)
    end = [
        part
        for chance, part in ((0.6, (colour, "COLOUR")), (0.6, (_size(rng, group), "SIZE")))
        if rng.random() < chance
    ]
    rng.shuffle(end)
    if rng.random() < 0.2:
        end.append((rng.choice((f"pack of {rng.randint(2, 12)}", f"{rng.randint(2, 12)} pieces", "2 pcs")), "QUANTITY"))
    start: list[Part] = [(_brand(rng), "BRAND")] if rng.random() < 0.85 else []
    parts = [*start, *middle]
    if end and rng.random() < 0.3:
        parts.insert(rng.randint(len(start), len(parts)), end.pop(0))
    for part in end:
        separator = rng.choice(("", "", "", ",", "-", "in", "with"))
        parts += [(separator, ""), part] if separator else [part]
    if rng.random() < 0.15:
        parts.append((rng.choice(("new", "sale", "gift box included", "- free shipping", "with steel box")), ""))
    return _written(parts, rng)


def _written(parts: list[Part], rng: random.Random) -> list[Part]:
    """In the case of a shop: as it is, lower, upper or with capitals; some words lose a letter."""
    case = rng.choice((str, str, str.lower, str.lower, str.title, str.upper))

    def write(word: str) -> str:
        place = rng.randrange(len(word)) if len(word) > 3 and rng.random() < _NOISE else len(word)
        return case(word[:place] + word[place + 1 :])

    return [(" ".join(map(write, text.split())), kind) for text, kind in parts]


def product_rows(n: int) -> list[Row]:
    """n titles, the same ones in each call."""
    return _rows(n, _product)


# Lines of logs

_PROGRAMS = _words("sshd cron nginx kernel postfix systemd backup redis postgres docker mail app worker scheduler")
_USERS = _words("root admin backup mail postgres deploy guest nginx test worker app info")
_LEVELS = _words("INFO WARN ERROR DEBUG info warning error notice [error] [info] WARNING: ERROR:")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_FOLDERS = ["var", "log", "etc", "home", "data", "tmp", "usr", "lib", "backup", "mail", "srv", "app"]
_ENDS = ["conf", "log", "db", "gz", "json", "txt", "sock", "py"]


def _user(rng: random.Random) -> str:
    return rng.choice(_USERS) if rng.random() < 0.4 else _name(rng)


def _host(rng: random.Random) -> str:
    base = rng.choice(("web", "db", "mail", "app", "node", "backup", _name(rng)))
    return rng.choice((f"{base}{rng.randint(1, 20)}", f"{base}-{rng.randint(1, 9)}.local", f"{base}.example.com", base))


def _ip(rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def _path(rng: random.Random) -> str:
    folders = [rng.choice(_FOLDERS) for _ in range(rng.randint(1, 3))]
    return "/" + "/".join([*folders, rng.choice((f"{_name(rng)}.{rng.choice(_ENDS)}", rng.choice(_FOLDERS)))])


def _duration(rng: random.Random) -> str:
    number = rng.choice((str(rng.randint(1, 5000)), f"{rng.uniform(0, 60):.2f}"))
    return rng.choice((f"{number} ms", f"{number}ms", f"{number} s", f"{number} seconds", f"{number}s"))


def _bytes(rng: random.Random) -> str:
    number = str(rng.randint(1, 90_000))
    return rng.choice((f"{number} bytes", f"{number} kB", f"{number}", f"{number}MB"))


def _count(rng: random.Random) -> str:
    return str(rng.randint(0, 90_000))


_MAKERS: dict[str, Callable[[random.Random], str]] = {
    "USER": _user,
    "HOST": _host,
    "IP": _ip,
    "PORT": lambda rng: str(rng.choice((22, 80, 443, 5432, rng.randint(1024, 65535)))),
    "PATH": _path,
    "DURATION": _duration,
    "SIZE": _bytes,
    "COUNT": _count,
    "PROGRAM": lambda rng: rng.choice(_PROGRAMS),
    "PID": lambda rng: str(rng.randint(1, 65535)),
    "STATUS": lambda rng: str(rng.choice((200, 201, 301, 304, 400, 403, 404, 500, 503))),
}
_MESSAGES = """accepted password for {USER} from {IP} port {PORT} ssh2
failed password for {USER} from {IP} port {PORT}
failed password for invalid user {USER} from {IP}
connection from {HOST} closed
connection closed by {IP} port {PORT} [preauth]
connection to {HOST} port {PORT} refused
connection to {HOST} : {PORT} timed out after {DURATION}
session opened for user {USER}
session closed for {USER} after {DURATION}
user {USER} logged in from {HOST}
{USER} : command not allowed ; pwd = {PATH}
{PROGRAM} started with pid {PID}
{PROGRAM} ( {PID} ) exited with status {COUNT}
killed process {PID} {PROGRAM} using {SIZE}
out of memory : kill process {PID} ( {PROGRAM} ) score {COUNT}
GET {PATH} {STATUS} {SIZE} {DURATION}
POST {PATH} from {IP} {STATUS} {DURATION}
request {PATH} took {DURATION}
slow query : {DURATION} , {COUNT} rows
{COUNT} rows deleted in {DURATION}
wrote {SIZE} to {PATH} in {DURATION}
cannot open {PATH} : no such file
permission denied for {USER} on {PATH}
backup of {PATH} to {HOST} done , {SIZE} in {DURATION}
backup for {USER} failed after {COUNT} tries
mail from {USER} to {HOST} deferred , {COUNT} in queue
mail queue {COUNT} , {SIZE}
listening on {IP} port {PORT}
listening on port {PORT}
worker {PID} timed out after {DURATION} , restarting {PROGRAM}
restarting {PROGRAM} on {HOST} by {USER}
loaded {COUNT} keys from {PATH}
health check of {HOST} returned {STATUS} in {DURATION}
proxy {HOST} {PORT} returned {STATUS} for {PATH}
{HOST} is down since {DURATION}
{USER} changed {PATH}
disk {PATH} has {SIZE} left
retry {COUNT} of {COUNT} for {HOST}""".splitlines()


def _time(rng: random.Random) -> str:
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    month = rng.randint(1, 12)
    day = rng.randint(1, 28)
    written = (f"{_MONTHS[month - 1]} {day} {clock}", f"2026-{month:02}-{day:02} {clock}", clock)
    return rng.choice((*written, f"2026-{month:02}-{day:02}T{clock}Z"))


def _log(rng: random.Random) -> list[Part]:
    parts: list[Part] = []
    if rng.random() < 0.8:
        parts.append((_time(rng), "TIME"))
    if rng.random() < 0.5:
        parts.append((_host(rng), "HOST"))
    program = [(rng.choice(_PROGRAMS), "PROGRAM")]
    if rng.random() < 0.5:
        program += [("[", ""), (str(rng.randint(1, 65535)), "PID"), ("]", "")]
    level = [(rng.choice(_LEVELS), "LEVEL")] if rng.random() < 0.6 else []
    parts += [*program, *level] if rng.random() < 0.6 else level
    parts += [(":", "")] if rng.random() < 0.4 else []
    message = rng.choice(_MESSAGES)
    for word in message.split():
        name = word.strip("{}")
        if word != name:
            parts.append((_MAKERS[name](rng), name))
        elif rng.random() > _NOISE:  # a message is worded in more than one way
            parts.append((word.capitalize() if rng.random() < 0.15 else word, ""))
    if rng.random() < 0.15:
        parts += [(rng.choice(("for", "by", "user")), ""), (_user(rng), "USER")]
    return parts


def log_rows(n: int) -> list[Row]:
    """n lines, the same ones in each call."""
    return _rows(n, _log)
