//! `Retry-After`: when a busy server wants to see us again.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::RETRY_AFTER;

/// How long the server asks to wait, if its answer means that it is busy (429 or 503) and says so.
pub(super) fn asked(response: &Response) -> Option<Duration> {
    let status = response.status().as_u16();
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    matches!(status, 429 | 503).then(|| parse(value, SystemTime::now()))?
}

/// Seconds, or a date (RFC 9110, section 10.2.3); none for anything else.
fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is longer than anybody waits.
        return Some(Duration::from_secs(value.parse::<u32>().unwrap_or(u32::MAX).into()));
    }
    let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let seconds = u64::try_from(then.as_second()).unwrap_or(0);
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_ask_for() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999", Some(u64::from(u32::MAX))),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(10)),
            ("Tue, 20 Oct 2015 07:28:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(parse(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
