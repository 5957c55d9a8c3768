//! What a message says, as far as a model can judge it.

use super::history::Reason;

/// Words of messages, and what they mean. The first that fits counts.
const WORDS: &[(&[&str], Reason)] = &[
    (&["there is no layer `"], Reason::NoLayer),
    (&["there is no merge point `"], Reason::NoPoint),
    (&["there is a layer `", "` already"], Reason::LayerExists),
    (&["merge point `", "` exists already"], Reason::PointExists),
    (&["merge point `", "` uses it"], Reason::Used),
    (&["is still mounted as a writable layer"], Reason::Busy),
    (&["cannot be the last one, which is written to"], Reason::External),
    (&["cannot copy into a layer in `", "it is read-only"], Reason::External),
    (&["is named twice"], Reason::Twice),
    (&["it changed while it was read"], Reason::Changed),
];

/// Reads a message.
pub(crate) fn reason(message: &str) -> Reason {
    let fits = |words: &[&str]| words.iter().all(|word| message.contains(word));
    WORDS.iter().find(|(words, _)| fits(words)).map_or(Reason::Other, |(_, reason)| reason.clone())
}

/// The first name in backticks after some words.
pub(crate) fn name_after<'m>(message: &'m str, words: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(words)?;
    rest.split_once('`').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::{Reason, name_after, reason};

    #[test]
    fn messages_are_understood() {
        let cases = [
            ("error: there is no layer `a`; see `ovmlayer list layers`", Reason::NoLayer),
            (
                "error: cannot delete layer `a`: merge point `p` uses it; run `ovmlayer unmerge p` first",
                Reason::Used,
            ),
            ("error: merge point `p` exists already; run `ovmlayer unmerge p` first", Reason::PointExists),
            ("error: cannot open `/x`\n  No such file or directory", Reason::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(reason(message), expected, "{message}");
        }
        assert_eq!(name_after("there is no layer `a`; see `b`", "no layer `"), Some("a"));
    }
}
