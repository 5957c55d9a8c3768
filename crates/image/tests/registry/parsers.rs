//! Parsers of headers: anything may stand in them.

use ovmlayer_image::registry::{parse_challenges, parse_held, parse_next_page};
use proptest::prelude::*;

/// What a header field may hold, with what means something in it more often than by chance.
fn field() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("Bearer ".to_owned()),
        Just("Basic ".to_owned()),
        Just("realm=".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just(",".to_owned()),
        Just("=".to_owned()),
        Just("<".to_owned()),
        Just(">".to_owned()),
        Just("; rel=\"next\"".to_owned()),
        Just("0-".to_owned()),
        Just("18446744073709551615".to_owned()),
        "[ -~]{0,8}",
        "\\PC{0,4}",
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn nothing_is_too_odd_to_be_read(field in field()) {
        let challenges = parse_challenges(&field);
        for challenge in &challenges {
            prop_assert!(!challenge.scheme.is_empty());
            prop_assert!(challenge.scheme.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
            // Nothing is made up: what was read stands in the field.
            for (name, value) in &challenge.parameters {
                prop_assert!(field.to_ascii_lowercase().contains(name.as_str()));
                prop_assert!(value.len() <= field.len());
            }
        }
        if let Some(address) = parse_next_page(&field) {
            let linked = format!("<{address}>");
            prop_assert!(field.contains(&linked));
        }
        if let Some(held) = parse_held(&field) {
            prop_assert!(field.contains(&held.saturating_sub(1).to_string()));
        }
    }

    #[test]
    fn what_is_written_by_the_rules_is_read(
        scheme in "[A-Za-z]{1,8}",
        parameters in proptest::collection::vec(("[a-z]{1,8}", "[ -~]{0,12}"), 1..6),
        last in 0u64..u64::MAX - 1,
    ) {
        let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let written: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
        let challenges = parse_challenges(&format!("{scheme} {}", written.join(", ")));
        prop_assert_eq!(challenges.len(), 1);
        prop_assert_eq!(&challenges[0].scheme, &scheme.to_ascii_lowercase());
        prop_assert_eq!(&challenges[0].parameters, &parameters);
        prop_assert_eq!(parse_held(&format!("0-{last}")), Some(last + 1));
    }
}
