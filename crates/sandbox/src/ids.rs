//! User and group ids across the border of a user namespace: ranges, `/etc/subuid`, `/proc/self/uid_map`.

use std::fmt::Write as _;

/// Ids that a namespace must have: 0 to 65535, as files of a Debian root use them (65534 is `nobody`).
pub(crate) const NEEDED: u32 = 65536;

/// Ids that are consecutive on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many, at least 1.
    pub count: u32,
}

/// Reads a `/proc/PID/uid_map` (user_namespaces(7)); lines that are not of its form are left out.
pub(crate) fn parse_map(text: &str) -> Vec<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            let (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count)), None) =
                (numbers.next(), numbers.next(), numbers.next(), numbers.next())
            else {
                return None;
            };
            (count > 0).then_some(IdRange { inside, outside, count })
        })
        .collect()
}

/// How many of the ids that are needed have a counterpart outside.
pub(crate) fn mapped(ranges: &[IdRange]) -> u64 {
    ranges
        .iter()
        .map(|range| {
            let end = (u64::from(range.inside) + u64::from(range.count)).min(u64::from(NEEDED));
            end.saturating_sub(u64::from(range.inside))
        })
        .sum()
}

/// The map that leaves every id of the current namespace what it is.
pub(crate) fn identity(ranges: &[IdRange]) -> Vec<IdRange> {
    ranges.iter().map(|range| IdRange { outside: range.inside, ..*range }).collect()
}

/// A user's ranges in `/etc/subuid` or `/etc/subgid` (subuid(5)), as (first, count). Entries are by name or number.
pub(crate) fn parse_subordinate(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
            let ours = Some(owner) == name || owner.parse() == Ok(uid);
            let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
            (ours && count > 0 && first.checked_add(count - 1).is_some()).then_some((first, count))
        })
        .collect()
}

/// Own id as 0, subordinate ids as 1 to 65535 in order; or how many subordinate ids there are, if too few.
pub(crate) fn subordinate_map(own: u32, ranges: &[(u32, u32)]) -> Result<Vec<IdRange>, u64> {
    let mut map = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut next = 1;
    for (first, count) in ranges {
        let count = (*count).min(NEEDED - next);
        if count > 0 {
            map.push(IdRange { inside: next, outside: *first, count });
            next += count;
        }
    }
    if next < NEEDED { Err(u64::from(next) - 1) } else { Ok(map) }
}

/// The map as the kernel takes it.
pub(crate) fn format_map(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, range| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
        text
    })
}

/// A user's name in the text of `/etc/passwd`.
pub(crate) fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> IdRange {
        IdRange { inside, outside, count }
    }

    #[test]
    fn maps_are_read() {
        assert_eq!(parse_map("         0          0 4294967295\n"), [range(0, 0, u32::MAX)]);
        assert_eq!(parse_map("0 1000 1\n1 100000 65536\n"), [range(0, 1000, 1), range(1, 100_000, 65536)]);
        assert_eq!(parse_map("0 1 2 3\n0 0 0\nx\n-1 0 1\n\n"), []);
    }

    #[test]
    fn mapped_counts_only_what_is_needed() {
        let tests: [(&str, &[IdRange], u64); 4] = [
            ("the first namespace", &[range(0, 0, u32::MAX)], 65536),
            ("one id", &[range(0, 1000, 1)], 1),
            ("a rootless container", &[range(0, 1000, 1), range(1, 100_000, 65536)], 65536),
            ("high ids do not count", &[range(70000, 1, 65536)], 0),
        ];
        for (summary, ranges, expected) in tests {
            assert_eq!(mapped(ranges), expected, "{summary}");
        }
    }

    #[test]
    fn subordinate_ranges_are_found_by_name_and_number() {
        let text =
            "root:1:2\nalice:100000:65536\n1000:300000:10\nbob:5:5\nalice:x:1\nalice:4294967295:2\n#\n";
        assert_eq!(parse_subordinate(text, Some("alice"), 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(parse_subordinate(text, None, 1000), [(300_000, 10)]);
        assert_eq!(parse_subordinate(text, Some("carol"), 7), []);
    }

    #[test]
    fn the_map_has_exactly_the_needed_ids() {
        type Ranges = &'static [(u32, u32)];
        type Map = Result<Vec<IdRange>, u64>;
        let tests: [(&str, Ranges, Map); 5] = [
            ("none", &[], Err(0)),
            ("one short", &[(100_000, 65534)], Err(65534)),
            ("just enough", &[(100_000, 65535)], Ok(vec![range(0, 7, 1), range(1, 100_000, 65535)])),
            ("more than enough", &[(1, 1 << 30)], Ok(vec![range(0, 7, 1), range(1, 1, 65535)])),
            (
                "in two pieces",
                &[(100_000, 5), (200_000, 65536)],
                Ok(vec![range(0, 7, 1), range(1, 100_000, 5), range(6, 200_000, 65530)]),
            ),
        ];
        for (summary, ranges, expected) in tests {
            assert_eq!(subordinate_map(7, ranges), expected, "{summary}");
        }
    }

    #[test]
    fn maps_are_written_as_the_kernel_reads_them() {
        let map = [range(0, 1000, 1), range(1, 100_000, 65535)];
        assert_eq!(parse_map(&format_map(&map)), map);
        assert_eq!(format_map(&identity(&map)), "0 0 1\n1 1 65535\n");
    }

    #[test]
    fn names_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:\nbroken\n";
        assert_eq!(user_name(passwd, 1000), Some("alice"));
        assert_eq!(user_name(passwd, 1), None);
    }
}
