//! Names of layers and merge points.

use rustix::rand::{GetRandomFlags, getrandom};

/// The longest name, in bytes.
const MAX_LENGTH: usize = 200;

/// A name that nobody else has: 32 random digits, as of a UUID without its dashes.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        // The call cannot fail for so few bytes once the system has started; a signal may cut it short.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    hex::encode(bytes)
}

/// Whether a name from a file may be given to `ovmlayer`: it must not be taken for a flag, a path or two names.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b'+');
    !name.is_empty()
        && name.len() <= MAX_LENGTH
        && name.bytes().all(is_allowed)
        && !name.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        let long = "a".repeat(MAX_LENGTH + 1);
        let cases = [
            ("layer_0a", true),
            ("executor", true),
            ("a.b-c@1.0", true),
            ("", false),
            ("--all", false),
            ("..", false),
            ("a/b", false),
            ("a:b", false),
            ("a\nb", false),
            (long.as_str(), false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_plain(name), expected, "{name}");
        }
        assert!(is_plain(&random()) && random() != random());
    }
}
