//! Public holidays of whole countries, from 2015 to 2035.
//!
//! The table holds for each country its time zone, rules, and days that no rule gives. A rule is a
//! date (`1225`), a distance from Easter (`E+1`, of the Orthodox churches `O+1`), the nth or last
//! weekday of a month (`11thu4`, `05mon-1`), or a weekday on or after a date (`1031>sat`). Behind
//! `~` it gives the substitute for a date at the weekend alone; behind `@` it holds for some years.
//! The table is made, and what it gives is checked, by `bench/public_holidays.py`.

use std::collections::BTreeSet;

use domain::calendar::Interval;
use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

const TABLE: &str = include_str!("holidays/table.txt");

/// The years of the table.
pub const YEARS: std::ops::RangeInclusive<i16> = 2015..=2035;

/// A country of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Country {
    code: &'static str,
    zone: &'static str,
    /// Its lines: rules, then days.
    rules: &'static str,
}

/// All countries, by code.
pub fn countries() -> Vec<Country> {
    let mut list: Vec<Country> = Vec::new();
    let mut rest = TABLE;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if line.starts_with(['#', ' ']) {
            continue;
        }
        let Some((code, zone)) = line.split_once(' ') else { continue };
        let end = rest
            .match_indices('\n')
            .map(|(at, _)| at + 1)
            .find(|at| !rest[*at..].starts_with(' '))
            .unwrap_or(rest.len());
        list.push(Country { code, zone, rules: &rest[..end] });
    }
    list
}

/// The country of that code (ISO 3166, two letters, in any case).
pub fn country(code: &str) -> Option<Country> {
    countries().into_iter().find(|country| country.code.eq_ignore_ascii_case(code))
}

impl Country {
    /// Its code.
    pub fn code(self) -> &'static str {
        self.code
    }

    /// The holidays of the whole country in the years of the table.
    pub fn days(self) -> BTreeSet<Date> {
        let mut days = BTreeSet::new();
        for word in self.rules.split_whitespace() {
            match word.split_once(':') {
                Some((year, list)) => {
                    let year = year.parse().ok();
                    days.extend(list.split(',').filter_map(|day| date(year?, day)));
                }
                None => {
                    let (rule, years) = word.split_once('@').unwrap_or((word, ""));
                    let year = |text: &str| text.parse::<i16>().ok();
                    let ends = years.split_once('-').and_then(|(a, b)| Some((year(a)?, year(b)?)));
                    let (first, last) = ends.unwrap_or((*YEARS.start(), *YEARS.end()));
                    days.extend((first..=last).filter_map(|year| evaluate(rule, year)));
                }
            }
        }
        days.retain(|day| YEARS.contains(&day.year()));
        days
    }

    /// Its holidays as whole days of its own time, those that share an instant with `[from, to)`.
    pub fn times(self, from: Timestamp, to: Timestamp) -> Vec<Interval> {
        let zone = TimeZone::get(self.zone).unwrap_or(TimeZone::UTC);
        let start = |day: Date| zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible().ok();
        let whole = |day: Date| Interval::new(start(day)?, start(day.tomorrow().ok()?)?).ok();
        let all = self.days().into_iter().filter_map(whole);
        all.filter(|day| day.from() < to && from < day.to()).collect()
    }
}

/// `1225` of a year.
fn date(year: i16, text: &str) -> Option<Date> {
    Date::new(year, text.get(..2)?.parse().ok()?, text.get(2..4)?.parse().ok()?).ok()
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// The day that a rule gives in a year, if it gives one.
fn evaluate(rule: &str, year: i16) -> Option<Date> {
    let after = |date: Date, days: i64| date.checked_add(Span::new().days(days)).ok();
    let (rule, moved) = rule.split_once('~').unwrap_or((rule, ""));
    if let Some(days) = rule.strip_prefix('E') {
        return after(easter(year)?, days.parse().ok()?);
    }
    if let Some(days) = rule.strip_prefix('O') {
        return after(orthodox_easter(year)?, days.parse().ok()?);
    }
    if let Some(day) = rule.get(2..5).and_then(weekday) {
        let first = Date::new(year, rule[..2].parse().ok()?, 1).ok()?;
        return first.nth_weekday_of_month(rule[5..].parse().ok()?, day).ok();
    }
    let fixed = date(year, rule)?;
    if let Some(day) = rule.get(5..).and_then(weekday) {
        let since = fixed.weekday().until(day);
        return after(fixed, since.into());
    }
    let (saturday, sunday) = match moved {
        "" => return Some(fixed),
        "near" => (-1, 1),
        "sun" => (0, 1),
        "next" => (2, 1),
        _ => (2, 2),
    };
    let days = match fixed.weekday() {
        Weekday::Saturday => saturday,
        Weekday::Sunday => sunday,
        _ => 0,
    };
    if days == 0 { None } else { after(fixed, days) }
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let d = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    let e = (32 + 2 * (b % 4) + 2 * (c / 4) - d - c % 4) % 7;
    let f = d + e - 7 * ((a + 11 * d + 22 * e) / 451) + 114;
    Date::new(year, i8::try_from(f / 31).ok()?, i8::try_from(f % 31 + 1).ok()?).ok()
}

/// Easter Sunday of the Orthodox churches: of the Julian calendar (Meeus), 13 days on.
fn orthodox_easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let d = (19 * (y % 19) + 15) % 30;
    let f = d + (2 * (y % 4) + 4 * (y % 7) - d + 34) % 7 + 114;
    let julian = Date::new(year, i8::try_from(f / 31).ok()?, i8::try_from(f % 31 + 1).ok()?);
    julian.ok()?.checked_add(13.days()).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date as day;

    use super::*;

    fn of(code: &str, year: i16) -> Vec<String> {
        let days = country(code).unwrap().days().into_iter();
        days.filter(|day| day.year() == year).map(|day| day.to_string()[5..].to_owned()).collect()
    }

    #[test]
    fn the_years_of_known_countries_are_those_of_the_law() {
        assert_eq!(
            of("DE", 2024),
            ["01-01", "03-29", "04-01", "05-01", "05-09", "05-20", "10-03", "12-25", "12-26"]
        );
        // Five hundred years of the Reformation were a holiday once.
        assert!(of("de", 2017).contains(&"10-31".to_owned()));
        assert_eq!(
            of("US", 2022),
            [
                "01-01", "01-17", "02-21", "05-30", "06-19", "06-20", "07-04", "09-05", "10-10",
                "11-11", "11-24", "12-25", "12-26"
            ]
        );
        // New Year 2022 is a Saturday: the Friday before is the holiday, of another year.
        assert!(of("US", 2021).contains(&"12-31".to_owned()));
        assert!(of("SE", 2025).contains(&"06-21".to_owned()), "midsummer");
        // Two days of Christmas at a weekend move to Monday and Tuesday.
        assert!(of("GB", 2021).ends_with(&["12-25", "12-26", "12-27", "12-28"].map(str::to_owned)));
    }

    #[test]
    fn rules_give_days() {
        let gives = |rule: &str, year, month, d| {
            assert_eq!(evaluate(rule, year), Some(day(year, month, d)), "{rule} {year}");
        };
        gives("E+0", 2025, 4, 20);
        gives("E-2", 2019, 4, 19);
        gives("O+0", 2024, 5, 5);
        gives("O+1", 2030, 4, 29);
        gives("11thu4", 2026, 11, 26);
        gives("05mon-1", 2026, 5, 25);
        gives("1031>sat", 2026, 10, 31);
        gives("1031>sat", 2027, 11, 6);
        assert_eq!(evaluate("0704~near", 2026), Some(day(2026, 7, 3)));
        assert_eq!(evaluate("0704~near", 2027), Some(day(2027, 7, 5)));
        assert_eq!(evaluate("0704~near", 2025), None);
        assert_eq!(evaluate("0704~sun", 2026), None);
        assert_eq!(evaluate("nonsense", 2026), None);
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        let all = countries();
        assert!(all.len() >= 30, "{}", all.len());
        for country in all {
            TimeZone::get(country.zone).unwrap();
            for word in country.rules.split_whitespace() {
                let (rule, _) = word.split_once('@').unwrap_or((word, ""));
                let known = match rule.split_once(':') {
                    Some((year, list)) => {
                        let year = year.parse().unwrap();
                        list.split(',').all(|text| date(year, text).is_some())
                    }
                    None => YEARS.clone().any(|year| evaluate(rule, year).is_some()),
                };
                assert!(known, "{} {word}", country.code);
            }
            for year in YEARS {
                let count = country.days().iter().filter(|day| day.year() == year).count();
                assert!((4..=40).contains(&count), "{} {year}: {count}", country.code);
            }
        }
        assert_eq!(country("XX"), None);
    }

    #[test]
    fn a_holiday_is_a_whole_day_of_its_country() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let times =
            country("JP").unwrap().times(at("2026-05-04T16:00:00Z"), at("2026-05-05T12:00:00Z"));
        assert_eq!(times.len(), 1);
        assert_eq!(times[0].from(), at("2026-05-04T15:00:00Z"));
        assert_eq!(times[0].to(), at("2026-05-05T15:00:00Z"));
    }
}
