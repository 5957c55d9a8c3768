//! PAX extended header records (POSIX.1-2017, `pax`, "Extended Header").

use super::Problem;

/// The records of an extended header, one after the other: `LENGTH KEY=VALUE\n` with the length of the whole in decimal.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Problem>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match record(bytes) {
            Some((key, value, rest)) => {
                bytes = rest;
                Some(Ok((key, value)))
            }
            None => {
                let start = bytes.iter().copied().take(64).collect();
                bytes = b"";
                Some(Err(Problem::PaxRecord(start)))
            }
        }
    })
}

/// The first record of `bytes`, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length = decimal(&bytes[..space])?;
    let length = usize::try_from(length).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

/// Appends one record.
pub(super) fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits, so find the number that is right about itself.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    loop {
        let counted = rest + length.to_string().len();
        if counted == length {
            break;
        }
        length = counted;
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// An attribute's name as part of a key, which ends at its first `=`: as GNU tar writes it since 1.30, `%3D` for `=` and `%25`
/// for `%`, and nothing else.
pub(super) fn escape(name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(*byte),
        }
    }
    key
}

/// The name that [`escape`] made this of. Any other `%` stands for itself, as programs without the escape write it.
pub(super) fn unescape(mut key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len());
    loop {
        let (byte, rest) = match key {
            [] => return name,
            [b'%', b'3', b'D', rest @ ..] => (b'=', rest),
            [b'%', b'2', b'5', rest @ ..] => (b'%', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        name.push(byte);
        key = rest;
    }
}

/// A decimal number of digits alone.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A PAX time, `[-]SECONDS[.FRACTION]`, as seconds and nanoseconds beyond them, rounded down.
pub(super) fn time(value: &[u8]) -> Option<(i64, u32)> {
    let (negative, number) = match value.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, value),
    };
    let mut parts = number.splitn(2, |&byte| byte == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (digits, rest) = fraction.split_at(fraction.len().min(9));
    let mut nanos =
        (0..9).fold(0, |nanos, at| nanos * 10 + u32::from(digits.get(at).map_or(0, |digit| digit - b'0')));
    if !negative {
        return Some((whole, nanos));
    }
    // Down is away from zero here.
    nanos += u32::from(rest.iter().any(|&digit| digit != b'0'));
    Some(if nanos == 0 { (-whole, 0) } else { (-whole - 1, SECOND - nanos) })
}

/// Writes a time as [`time`] reads it, without zeros at the end of the fraction.
pub(super) fn time_text(seconds: i64, nanos: u32) -> String {
    if nanos == 0 {
        return seconds.to_string();
    }
    let (sign, whole, nanos) = if seconds < 0 {
        ("-", (seconds + 1).unsigned_abs(), SECOND - nanos)
    } else {
        ("", seconds.unsigned_abs(), nanos)
    };
    let text = format!("{sign}{whole}.{nanos:09}");
    text.trim_end_matches('0').to_owned()
}

/// Nanoseconds in a second.
const SECOND: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for value_length in 0..2000 {
            let value = vec![b'v'; value_length];
            let mut bytes = Vec::new();
            push_record(&mut bytes, b"k", &value);
            push_record(&mut bytes, b"after", b"x\ny=z");
            let read: Vec<_> = records(&bytes).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, [(&b"k"[..], &value[..]), (b"after", b"x\ny=z")]);
        }
    }

    #[test]
    fn names_in_keys() {
        let table: &[(&[u8], &[u8])] = &[
            (b"user.note", b"user.note"),
            (b"user.a=b=", b"user.a%3Db%3D"),
            (b"user.100%", b"user.100%25"),
            (b"user.%3D%25", b"user.%253D%2525"),
            (b"user.\n\xff", b"user.\n\xff"),
        ];
        for (name, key) in table {
            assert_eq!(escape(name), *key, "{}", name.escape_ascii());
            assert_eq!(unescape(key), *name, "{}", key.escape_ascii());
        }
        for unescaped in [&b"user.%"[..], b"user.%3d", b"user.%2", b"user.%41"] {
            assert_eq!(unescape(unescaped), unescaped);
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        let table: &[&[u8]] = &[
            b"5 a=b",
            b"6 a=b\n1",
            b"7 a=b\n",
            b"x a=b\n",
            b" a=b\n",
            b"5 =b\n",
            b"6 abc\n",
            b"0 a=b\n",
            b"1 a=b\n",
            b"99999999999999999999 a=b\n",
            b"+6 a=b\n",
        ];
        for bytes in table {
            assert!(records(bytes).any(|record| record.is_err()), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn times() {
        type Row = (&'static [u8], Option<(i64, u32)>);
        let table: &[Row] = &[
            (b"0", Some((0, 0))),
            (b"1700000000.999999999", Some((1_700_000_000, 999_999_999))),
            (b"1.0000000019", Some((1, 1))),
            (b"1.5", Some((1, 500_000_000))),
            (b"-1", Some((-1, 0))),
            (b"-1.5", Some((-2, 500_000_000))),
            (b"-0.25", Some((-1, 750_000_000))),
            (b"-1.0", Some((-1, 0))),
            (b"-1.9999999999", Some((-2, 0))),
            (b"-0.0000000001", Some((-1, 999_999_999))),
            (b"-9223372036854775807.5", Some((i64::MIN, 500_000_000))),
            (b"5.", Some((5, 0))),
            (b"", None),
            (b"-", None),
            (b".5", None),
            (b"1e5", None),
            (b"1.x", None),
            (b"9223372036854775808", None),
        ];
        for (value, want) in table {
            assert_eq!(time(value), *want, "{}", value.escape_ascii());
        }
        for (seconds, nanos, text) in [
            (0, 0, "0"),
            (0, 1, "0.000000001"),
            (-1, 500_000_000, "-0.5"),
            (-2, 999_999_999, "-1.000000001"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
            (7, 120_000_000, "7.12"),
        ] {
            assert_eq!(time_text(seconds, nanos), text);
            assert_eq!(time(text.as_bytes()), Some((seconds, nanos)));
        }
    }
}
