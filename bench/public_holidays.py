"""Public holidays: makes the table of the program from the `holidays` package, and checks it.

    python bench/public_holidays.py generate
    cargo run -q -p adapters --example holidays > days.txt
    python bench/public_holidays.py check days.txt --out docs/accuracy.md

`generate` looks for rules that give the days of the package in every year (a fixed date, a
distance from Easter, the nth weekday of a month, a weekday on or after a date, days that move from
a weekend); what no rule gives is listed day by day. `check` compares what the program computes
with the package, day by day, and writes how many days agree per country.
"""

import argparse
import datetime as dt
import pathlib

import holidays

FIRST, LAST = 2015, 2035
YEARS = range(FIRST, LAST + 1)
ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "crates/adapters/src/calendar/holidays/table.txt"
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
ZONES = {
    "AR": "America/Argentina/Buenos_Aires", "AT": "Europe/Vienna", "AU": "Australia/Sydney",
    "BE": "Europe/Brussels", "BR": "America/Sao_Paulo", "CA": "America/Toronto",
    "CH": "Europe/Zurich", "CN": "Asia/Shanghai", "CZ": "Europe/Prague", "DE": "Europe/Berlin",
    "DK": "Europe/Copenhagen", "ES": "Europe/Madrid", "FI": "Europe/Helsinki",
    "FR": "Europe/Paris", "GB": "Europe/London", "GR": "Europe/Athens", "HU": "Europe/Budapest",
    "IE": "Europe/Dublin", "IN": "Asia/Kolkata", "IT": "Europe/Rome", "JP": "Asia/Tokyo",
    "KR": "Asia/Seoul", "MX": "America/Mexico_City", "NL": "Europe/Amsterdam",
    "NO": "Europe/Oslo", "NZ": "Pacific/Auckland", "PL": "Europe/Warsaw", "PT": "Europe/Lisbon",
    "RO": "Europe/Bucharest", "SE": "Europe/Stockholm", "SG": "Asia/Singapore",
    "TR": "Europe/Istanbul", "US": "America/New_York", "ZA": "Africa/Johannesburg",
}


def easter(year):
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return dt.date(year, f // 31, f % 31 + 1)


def orthodox(year):
    a, b, c = year % 4, year % 7, year % 19
    d = (19 * c + 15) % 30
    e = (2 * a + 4 * b - d + 34) % 7
    f = d + e + 114
    return dt.date(year, f // 31, f % 31 + 1) + dt.timedelta(13)


def day(year, month_day):
    try:
        return dt.date(year, int(month_day[:2]), int(month_day[2:4]))
    except ValueError:
        return None


def evaluate(rule, year):
    """The day that a rule (without its years) gives in a year, if any."""
    rule, _, move = rule.partition("~")
    if rule[0] in "EO":
        return (easter if rule[0] == "E" else orthodox)(year) + dt.timedelta(int(rule[1:]))
    if rule[2:5] in WEEKDAYS:
        month, weekday, nth = int(rule[:2]), WEEKDAYS.index(rule[2:5]), int(rule[5:])
        if nth > 0:
            first = dt.date(year, month, 1)
            found = first + dt.timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1))
        else:
            last = dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(1)
            found = last - dt.timedelta((last.weekday() - weekday) % 7)
        return found if found.month == month else None
    date = day(year, rule)
    if date and rule[4:5] == ">":
        return date + dt.timedelta((WEEKDAYS.index(rule[5:]) - date.weekday()) % 7)
    if date and move:
        saturday, sunday = {"near": (-1, 1), "sun": (None, 1), "next": (2, 1), "two": (2, 2)}[move]
        shift = {5: saturday, 6: sunday}.get(date.weekday())
        return None if shift is None else date + dt.timedelta(shift)
    return date


def hypotheses(dates):
    for date in dates:
        fixed = f"{date:%m%d}"
        yield fixed
        yield f"E{(date - easter(date.year)).days:+}"
        yield f"O{(date - orthodox(date.year)).days:+}"
        weekday = WEEKDAYS[date.weekday()]
        yield f"{date:%m}{weekday}{(date.day - 1) // 7 + 1}"
        if (date + dt.timedelta(7)).month != date.month:
            yield f"{date:%m}{weekday}-1"
        for back in range(7):
            yield f"{date - dt.timedelta(back):%m%d}>{weekday}"
        for shift in (-1, 1, 2):
            base = date - dt.timedelta(shift)
            for move in ("near", "sun", "next", "two"):
                yield f"{base:%m%d}~{move}"


def runs(rule, days):
    """The stretches of years in which a rule gives nothing but holidays, and what it gives."""
    run, found = [], []
    for year in [*YEARS, None]:
        date = year and evaluate(rule, year)
        if year is None or (date is not None and date not in days):
            if found:
                yield run[0], run[-1], found
            run, found = [], []
        else:
            run.append(year)
            found += [date] if date else []
    return


def country(code):
    days = set(holidays.country_holidays(code, years=YEARS).keys())
    days = {date for date in days if FIRST <= date.year <= LAST}
    candidates = set()
    for rule in set(hypotheses(sorted(days))):
        for first, last, found in runs(rule, days):
            if len(found) >= 4 or ("~" in rule and len(found) >= 2):
                candidates.add((rule, first, last, frozenset(found)))
    left, rules = set(days), []
    # The rule that says most comes first; of equals the simplest.
    while candidates:
        best = max(candidates, key=lambda c: (len(c[3] & left), -len(c[0]), c[2] - c[1], c[0]))
        gain = len(best[3] & left)
        if gain < (2 if "~" in best[0] else 3):
            break
        rule, first, last, found = best
        years = "" if (first, last) == (FIRST, LAST) else f"@{first}-{last}"
        rules.append(rule + years)
        left -= found
        candidates.discard(best)
    alone = {}
    for date in sorted(left):
        alone.setdefault(date.year, []).append(f"{date:%m%d}")
    return sorted(rules), [f"{year}:{','.join(list_)}" for year, list_ in alone.items()]


def generate():
    lines = [
        f"# Public holidays {FIRST} to {LAST}, made by bench/public_holidays.py from the package holidays",
        f"# {holidays.__version__} (MIT licence). COUNTRY ZONE, its rules, and days that no rule gives.",
    ]
    for code, zone in sorted(ZONES.items()):
        rules, alone = country(code)
        lines += [f"{code} {zone}", " " + " ".join(rules)]
        lines += [" " + " ".join(alone)] if alone else []
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n")


def check(path, out):
    ours = {code: set() for code in ZONES}
    for line in pathlib.Path(path).read_text().split("\n"):
        if line:
            code, date = line.split()
            ours[code].add(dt.date.fromisoformat(date))
    rows, differences = [], []
    total = agreed = full = 0
    for code in sorted(ZONES):
        theirs = {d for d in holidays.country_holidays(code, years=YEARS) if FIRST <= d.year <= LAST}
        same = ours[code] & theirs
        bad_years = sorted({d.year for d in ours[code] ^ theirs})
        total, agreed = total + len(theirs), agreed + len(same)
        full += len(YEARS) - len(bad_years)
        years = ", ".join(map(str, bad_years)) or "none"
        rows.append(f"| {code} | {len(theirs)} | {len(same)} | {len(ours[code] - theirs)} | {years} |")
        differences += [f"{code} {d} ({'only ours' if d in ours[code] else 'missing'})"
                        for d in sorted(ours[code] ^ theirs)]
    text = [
        f"Made by `bench/public_holidays.py check` with holidays {holidays.__version__}, {FIRST} to {LAST}: "
        f"{agreed} of {total} days agree, in {full} of {len(ZONES) * len(YEARS)} countries and years all.",
        "", "| country | days of the package | of them ours | only ours | years that differ |",
        "| --- | ---: | ---: | ---: | --- |", *rows, "",
        "Differences: " + ("; ".join(differences) or "none") + ".",
    ]
    if not out:
        print("\n".join(text))
        return
    begin, end = "<!-- holidays: begin -->", "<!-- holidays: end -->"
    page = pathlib.Path(out).read_text()
    head, rest = page.split(begin)
    pathlib.Path(out).write_text(head + begin + "\n" + "\n".join(text) + "\n" + end + rest.split(end)[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("generate")
    checking = verbs.add_parser("check")
    checking.add_argument("days")
    checking.add_argument("--out", help="a page with the marks of this table")
    args = parser.parse_args()
    generate() if args.verb == "generate" else check(args.days, args.out)
