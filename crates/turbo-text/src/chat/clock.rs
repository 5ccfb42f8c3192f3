//! `strftime_now`: the date in a system prompt.
//!
//! Times are UTC: a server's time zone is an accident of its host, and reading it portably would need a dependency or `unsafe`.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds since 1970-01-01 UTC; 0 when the host's clock is before that.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// A moment broken into UTC calendar fields.
struct Moment {
    year: u64,
    month: u64,
    day: u64,
    day_of_year: u64,
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// Proleptic Gregorian calendar from days, by 400-year eras starting on 1 March
    /// (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn from_unix(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * from_march + 2) / 153;
        let day = from_march - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let day_of_year = if month > 2 { from_march + 60 + u64::from(leap) } else { from_march - 305 };
        let second_of_day = seconds % 86_400;
        Self {
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
            hour: second_of_day / 3_600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    fn hour12(&self) -> u64 {
        (self.hour + 11) % 12 + 1
    }
}

/// `strftime` of C over a UTC moment, with glibc's `-` (no padding). Unknown directives are kept as they stand, as glibc does.
pub(super) fn strftime(format: &str, unix_seconds: u64) -> String {
    let moment = Moment::from_unix(unix_seconds);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = chars.next();
        let padded = directive != Some('-');
        if !padded {
            directive = chars.next();
        }
        match directive {
            Some(directive) if write_directive(&mut out, &moment, directive, padded) => {}
            other => {
                out.push_str(if padded { "%" } else { "%-" });
                out.extend(other);
            }
        }
    }
    out
}

/// Writes one directive; false when it is unknown.
fn write_directive(out: &mut String, moment: &Moment, directive: char, padded: bool) -> bool {
    let mut number = |value: u64, width: usize, fill: char| {
        _ = match (padded, fill) {
            (false, _) => write!(out, "{value}"),
            (true, ' ') => write!(out, "{value:>width$}"),
            (true, _) => write!(out, "{value:0>width$}"),
        };
    };
    match directive {
        'Y' => number(moment.year, 4, '0'),
        'C' => number(moment.year / 100, 2, '0'),
        'y' => number(moment.year % 100, 2, '0'),
        'm' => number(moment.month, 2, '0'),
        'd' => number(moment.day, 2, '0'),
        'e' => number(moment.day, 2, ' '),
        'j' => number(moment.day_of_year, 3, '0'),
        'H' => number(moment.hour, 2, '0'),
        'I' => number(moment.hour12(), 2, '0'),
        'M' => number(moment.minute, 2, '0'),
        'S' => number(moment.second, 2, '0'),
        'f' => number(0, 6, '0'),
        'w' => number(moment.weekday, 1, '0'),
        'u' => number((moment.weekday + 6) % 7 + 1, 1, '0'),
        'F' => out.push_str(&strftime_of(moment, &['Y', '-', 'm', '-', 'd'])),
        'D' | 'x' => out.push_str(&strftime_of(moment, &['m', '/', 'd', '/', 'y'])),
        'T' | 'X' => out.push_str(&strftime_of(moment, &['H', ':', 'M', ':', 'S'])),
        'R' => out.push_str(&strftime_of(moment, &['H', ':', 'M'])),
        'c' => out.push_str(&strftime_of(moment, &['a', ' ', 'b', ' ', 'e', ' ', 'T', ' ', 'Y'])),
        'B' => out.push_str(month_name(moment)),
        'b' | 'h' => out.push_str(&month_name(moment)[..3]),
        'A' => out.push_str(weekday_name(moment)),
        'a' => out.push_str(&weekday_name(moment)[..3]),
        'p' => out.push_str(if moment.hour < 12 { "AM" } else { "PM" }),
        'Z' => out.push_str("UTC"),
        'z' => out.push_str("+0000"),
        'n' => out.push('\n'),
        't' => out.push('\t'),
        '%' => out.push('%'),
        _ => return false,
    }
    true
}

/// A composed directive: letters are directives, the rest stands for itself.
fn strftime_of(moment: &Moment, parts: &[char]) -> String {
    let mut out = String::new();
    for &part in parts {
        if !part.is_ascii_alphabetic() || !write_directive(&mut out, moment, part, true) {
            out.push(part);
        }
    }
    out
}

fn month_name(moment: &Moment) -> &'static str {
    MONTHS[(moment.month as usize).clamp(1, 12) - 1]
}

fn weekday_name(moment: &Moment) -> &'static str {
    WEEKDAYS[moment.weekday as usize % 7]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let cases = [
            (0, "1970-01-01 00:00:00 Thursday 001"),
            (951_782_399, "2000-02-28 23:59:59 Monday 059"),
            (951_782_400, "2000-02-29 00:00:00 Tuesday 060"),
            (1_078_012_800, "2004-02-29 00:00:00 Sunday 060"),
            (1_735_689_599, "2024-12-31 23:59:59 Tuesday 366"),
            (1_735_689_600, "2025-01-01 00:00:00 Wednesday 001"),
            (4_107_542_400, "2100-03-01 00:00:00 Monday 060"),
        ];
        for (seconds, want) in cases {
            assert_eq!(strftime("%Y-%m-%d %H:%M:%S %A %j", seconds), want);
        }
    }

    #[test]
    fn directives_of_real_templates() {
        let moment = 1_722_002_405; // 2024-07-26 14:00:05 UTC
        assert_eq!(strftime("%d %b %Y", moment), "26 Jul 2024");
        assert_eq!(strftime("%B %-d, %Y at %I:%M %p", moment), "July 26, 2024 at 02:00 PM");
        assert_eq!(strftime("%F %T%z %Z", moment), "2024-07-26 14:00:05+0000 UTC");
        assert_eq!(strftime("%e|%y|%a|%D|%%|%Q|%", 1_722_902_405), " 6|24|Tue|08/06/24|%|%Q|%");
        assert_eq!(strftime("%c", moment), "Fri Jul 26 14:00:05 2024");
    }
}
