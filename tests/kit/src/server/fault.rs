//! What can go wrong on the way, on request.

use std::sync::Mutex;

use super::lock;

/// How a server treats a request instead of answering it well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and a short body.
    Status(u16),
    /// Announces the whole body and closes the connection after this many bytes of it.
    Truncate(u64),
    /// Sends the body with the byte at this offset of the file inverted.
    Corrupt(u64),
    /// Sends these bytes instead of the file, as if they were it.
    Replace(Vec<u8>),
    /// Redirects to this address.
    Redirect(String),
    /// Redirects to the same path, for ever.
    RedirectLoop,
    /// Announces the whole body, sends this many bytes of it, and then nothing until the client or the server ends.
    Stall(u64),
    /// Closes the connection without an answer.
    Drop,
    /// Sends the whole file although a part was asked for.
    IgnoreRange,
    /// Sends the body in chunks, without its length.
    Chunked,
    /// Sends the body without its length and closes the connection at its end.
    NoLength,
}

/// Faults of a kind by pattern, the newest last.
#[derive(Debug)]
pub(super) struct Faults<F> {
    rules: Mutex<Vec<Rule<F>>>,
}

#[derive(Debug)]
struct Rule<F> {
    pattern: String,
    fault: F,
    left: Option<u32>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self { rules: Mutex::default() }
    }
}

impl<F: Clone> Faults<F> {
    pub(super) fn add(&self, pattern: &str, fault: F, times: Option<u32>) {
        lock(&self.rules).push(Rule { pattern: pattern.to_owned(), fault, left: times });
    }

    pub(super) fn clear(&self) {
        lock(&self.rules).clear();
    }

    /// The fault for a path, one use of which is spent.
    pub(super) fn take(&self, path: &str) -> Option<F> {
        let mut rules = lock(&self.rules);
        let rule =
            rules.iter_mut().rev().find(|rule| rule.left != Some(0) && matches(&rule.pattern, path))?;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some(rule.fault.clone())
    }
}

/// Whether `pattern`, in which `*` stands for any run of characters, describes the whole of `text`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_whole_paths() {
        let cases = [
            ("a name stands for itself", "/a", "/a", true),
            ("a name is not a prefix", "/a", "/a/b", false),
            ("a star at the end takes the rest", "/a/*", "/a/b/c", true),
            ("a star may take nothing", "/a*", "/a", true),
            ("stars in several places", "*/Packages*", "/dists/x/Packages.xz", true),
            ("what follows a star must follow", "*.deb", "/pool/a.deb.part", false),
            ("letters of several bytes", "*ä", "/ää", true),
        ];
        for (summary, pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{summary}");
        }
    }

    #[test]
    fn a_fault_is_spent_and_the_newest_wins() {
        let faults = Faults::default();
        faults.add("*", Fault::Status(404), None);
        faults.add("/a", Fault::Drop, Some(1));
        assert_eq!(faults.take("/a"), Some(Fault::Drop));
        assert_eq!(faults.take("/a"), Some(Fault::Status(404)));
        assert_eq!(faults.take("/b"), Some(Fault::Status(404)));
        faults.clear();
        assert_eq!(faults.take("/a"), None);
    }
}
