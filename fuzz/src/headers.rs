//! What registries write into headers: challenges, links, ranges.

use image::registry::{parse_challenges, parse_held, parse_next_page};

pub(crate) const WORDS: &[&str] = &[
    "Bearer ",
    "Basic ",
    "Negotiate",
    "realm=\"",
    "scope=",
    "service=x",
    "\"",
    "\\\"",
    "\\",
    ",",
    "=",
    " ",
    "\t",
    "<",
    ">",
    ">; rel=\"next\"",
    "rel=",
    "0-",
    "bytes=",
    "18446744073709551615",
    "-1",
    "é",
];

/// One of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let fields = [
        "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:a/b:pull,push\"",
        "Basic realm=\"a \\\"b\\\"\", Negotiate, Bearer realm=x",
        "</v2/a/tags/list?n=2&last=b>; rel=\"next\", </x>; rel=\"prev\"",
        "0-1023",
        "bytes=0-0",
    ];
    fields.iter().map(|field| field.as_bytes().to_vec()).collect()
}

/// A header field of any kind: nothing is made up, and nothing grows.
pub fn headers(input: &[u8]) {
    let field = &*String::from_utf8_lossy(input);
    for challenge in parse_challenges(field) {
        assert!(!challenge.scheme.is_empty(), "a challenge has a scheme");
        for (name, value) in &challenge.parameters {
            assert!(
                !name.is_empty() && name.len() + value.len() < field.len(),
                "parameters stand in the field"
            );
        }
    }
    if let Some(address) = parse_next_page(field) {
        assert!(!address.is_empty() && field.contains(address), "a link stands in the field");
    }
    if let Some(held) = parse_held(field) {
        assert!(
            field.contains(&held.saturating_sub(1).to_string()) || held == 0,
            "a range stands in the field"
        );
    }
}
