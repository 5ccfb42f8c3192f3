//! Grouping digits by three from the right, by hand: as expressions these take time quadratic in the
//! length of a number.

/// Cuts before every group of three that ends its number.
pub(in crate::tokenizer) const BEFORE_GROUPS: &str = r"(?=(\d{3})+(?!\d))";
/// The groups of a number, the first of one to three digits, unless a word character follows it.
pub(in crate::tokenizer) const GROUPS: &str = r"\d{1,3}(?=(?:\d{3})*\b)";

/// Cuts the chunks of `points` that end at `ends`, as [`BEFORE_GROUPS`] does or, when `isolated`, as
/// [`GROUPS`] does.
pub(super) fn split(isolated: bool, points: &[u32], ends: &[usize]) -> Vec<usize> {
    let mut found = Vec::with_capacity(ends.len() * 2);
    let mut first = 0;
    for &end in ends {
        let mut at = first;
        while at < end {
            let digits = points[at..end].iter().take_while(|&&point| is_digit(point)).count();
            let stop = at + digits;
            let wanted = !isolated || !points[..end].get(stop).is_some_and(|&point| is_word(point));
            if digits > 0 && wanted {
                let group_starts = (at..stop).filter(|start| (stop - start) % 3 == 0);
                let borders = [at, stop].into_iter().filter(|_| isolated);
                found.extend(group_starts.chain(borders).filter(|&cut| first < cut && cut < end));
            }
            at = stop + usize::from(digits == 0);
        }
        found.push(end);
        first = end;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn is_digit(point: u32) -> bool {
    u8::try_from(point).is_ok_and(|byte| byte.is_ascii_digit())
}

fn is_word(point: u32) -> bool {
    u8::try_from(point).is_ok_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
