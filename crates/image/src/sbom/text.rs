//! Words in the forms that both kinds of documents want.

use cache::Digest;
use jiff::Timestamp;

/// A time as RFC 3339 has it, in UTC and whole seconds.
pub(super) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A UUID made of a digest, of the version that is free for such uses (RFC 9562, section 5.8).
pub(super) fn uuid(digest: &Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Text on one line, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// The beginning of a digest, enough to tell things in one document apart.
pub(super) fn short(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()[..20].to_owned()
}

/// The text, when it is an address that a browser can go to.
pub(super) fn address(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_fine =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?#@!$&'()*+,;=:".contains(&byte);
    (host_fine && rest.bytes().all(fine) && rest.matches('#').count() < 2).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(time(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(i64::MAX), "1970-01-01T00:00:00Z");
        assert_eq!(uuid(&Digest([0xff; 32])), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(plain(" a\nb\u{1b}[31m "), "a b [31m");
        for (text, expected) in [
            ("https://example.org/a?b#c", true),
            ("http://example.org:80", true),
            ("https://", false),
            ("ftp://example.org", false),
            ("https://example.org/a b", false),
            ("https://example.org/\"", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(address(text).is_some(), expected, "{text}");
        }
    }
}
