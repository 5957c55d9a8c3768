//! Files that list the digests of others, as `sha256sum` writes them.

use cache::Digest;

/// The name of the list for all files of a release, and the endings of lists for one.
const LISTS: [&str; 4] = ["SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.txt"];
const ENDINGS: [&str; 2] = [".sha256", ".sha256sum"];

/// Whether the file `name` may say something about `asset`.
pub(crate) fn is_about(name: &str, asset: &str) -> bool {
    LISTS.contains(&name) || name.strip_prefix(asset).is_some_and(|ending| ENDINGS.contains(&ending))
}

/// What a list says about the file `asset`: `DIGEST  NAME`, `DIGEST *NAME`, or a digest alone.
pub(crate) fn find(list: &str, asset: &str) -> Option<Digest> {
    list.lines().find_map(|line| {
        let (digest, name) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let name = name.trim_start().trim_start_matches('*').trim_start_matches("./");
        // A digest alone is only written into a list for one file.
        (name == asset || name.is_empty()).then(|| digest.to_ascii_lowercase().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_form() {
        let digest = Digest::of(b"x");
        let other = Digest::of(b"y");
        for (summary, list, expected) in [
            ("text", format!("{other}  b\n{digest}  a\n"), Some(digest)),
            ("binary", format!("{digest} *a\n"), Some(digest)),
            ("from a folder", format!("{digest}  ./a\n"), Some(digest)),
            ("capitals", format!("{}  a\n", digest.to_string().to_uppercase()), Some(digest)),
            ("alone", format!("{digest}\n"), Some(digest)),
            ("another file", format!("{digest}  ab\n"), None),
            ("no digest", "hello  a\n".to_owned(), None),
            ("nothing", String::new(), None),
        ] {
            assert_eq!(find(&list, "a"), expected, "{summary}");
        }
        assert!(is_about("SHA256SUMS", "a") && is_about("a.sha256", "a"));
        assert!(!is_about("b.sha256", "a") && !is_about("a.sig", "a"));
    }
}
