//! `Link` and `Range`, as registries write them.

/// The address of the next page of a list (RFC 8288; distribution specification, "Listing Tags").
#[must_use]
pub fn next_page(field: &str) -> Option<&str> {
    let mut rest = field;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (address, after) = after.split_once('>')?;
        // What describes this link ends where the next one begins.
        let (parameters, following) = match after.split_once(",") {
            Some((parameters, following)) => (parameters, following),
            None => (after, ""),
        };
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && value.eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(address).filter(|address| !address.is_empty());
        }
        rest = following;
    }
}

/// How many bytes of an upload a registry holds, from its `Range: 0-LAST` (distribution specification, "Pushing a blob in
/// chunks"). An upload that holds nothing is `0-0` at some registries, which is one byte at others: the caller, who knows
/// whether a byte was sent, must tell them apart.
#[must_use]
pub fn held(field: &str) -> Option<u64> {
    let field = field.trim();
    let (first, last) = field.strip_prefix("bytes=").unwrap_or(field).split_once('-')?;
    if first != "0" {
        return None;
    }
    // RFC 9110 knows no empty range; some registries write `0--1` for it.
    if last == "-1" {
        return Some(0);
    }
    let plain = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| last.parse::<u64>().ok()?.checked_add(1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        for (summary, field, expected) in [
            ("usual", r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("no quotes", "</x>;rel=next", Some("/x")),
            ("another parameter", r#"</x>; title="a"; REL="Next""#, Some("/x")),
            ("another relation", r#"</x>; rel="prev""#, None),
            ("the second one", r#"</x>; rel="prev", </y>; rel="next""#, Some("/y")),
            ("no relation", "</x>", None),
            ("no address", "rel=next", None),
            ("an empty one", "<>; rel=next", None),
            ("an open one", "</x; rel=next", None),
        ] {
            assert_eq!(next_page(field), expected, "{summary}");
        }
    }

    #[test]
    fn ranges() {
        for (field, expected) in [
            ("0-0", Some(1)),
            ("0-1023", Some(1024)),
            ("bytes=0-1023", Some(1024)),
            (" 0-9 ", Some(10)),
            ("0--1", Some(0)),
            ("5-9", None),
            ("0-", None),
            ("-", None),
            ("0-18446744073709551615", None),
            ("0-+5", None),
            ("x", None),
        ] {
            assert_eq!(held(field), expected, "{field}");
        }
    }
}
