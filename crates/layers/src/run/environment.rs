//! The variables that a command gets.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// Where programs are looked for inside, unless told otherwise: what a login of root on Debian has.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is taken from the caller's environment: how to draw on the terminal and how to reach the network. Nothing else,
/// for paths, locales and shells of the machine mean nothing inside.
const INHERITED: [&str; 13] = [
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Variables by name, in the order in which they were first set.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// What a command gets: `explicit` over the lines of `files` over what is inherited from `caller`, over HOME and PATH.
///
/// An explicit word `NAME=VALUE` sets a variable, `NAME` alone takes it from the caller if it is there.
pub(super) fn variables(
    caller: &dyn Fn(&OsStr) -> Option<OsString>,
    files: &[Vec<u8>],
    explicit: &[OsString],
) -> Variables {
    let mut variables = vec![(OsString::from("HOME"), OsString::from("/root")), ("PATH".into(), PATH.into())];
    for name in INHERITED.map(OsStr::new) {
        if let Some(value) = caller(name) {
            set(&mut variables, name, &value);
        }
    }
    for (name, value) in files.iter().flat_map(|file| lines(file)) {
        set(&mut variables, OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    for word in explicit {
        match split(word.as_bytes()) {
            Some((name, value)) => set(&mut variables, OsStr::from_bytes(name), OsStr::from_bytes(value)),
            None => {
                if let Some(value) = caller(word) {
                    set(&mut variables, word, &value);
                }
            }
        }
    }
    variables
}

fn set(variables: &mut Variables, name: &OsStr, value: &OsStr) {
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_owned(),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}

/// The variables in a file of lines `NAME=VALUE`: blanks around names and values are dropped, as are lines that begin with
/// `#` or have no `=`. Quotes have no meaning.
fn lines(file: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    file.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = line.trim_ascii();
        let (name, value) = split(line).filter(|_| !line.starts_with(b"#"))?;
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        (!name.is_empty()).then_some((name, value))
    })
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn given(files: &[&str], explicit: &[&str]) -> Vec<String> {
        let caller = |name: &OsStr| match name.to_str() {
            Some("TERM") => Some("xterm".into()),
            Some("SHELL") => Some("/bin/fish".into()),
            Some("HOME") => Some("/home/runner".into()),
            _ => None,
        };
        let files: Vec<Vec<u8>> = files.iter().map(|file| file.as_bytes().to_vec()).collect();
        let explicit: Vec<OsString> = explicit.iter().map(OsString::from).collect();
        let shown = variables(&caller, &files, &explicit).into_iter().map(|(name, value)| {
            let line = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
            String::from_utf8(line).unwrap()
        });
        shown.filter(|line| *line != format!("PATH={PATH}")).collect()
    }

    #[test]
    fn precedence() {
        /// Summary, files, explicit words, what comes of them.
        type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);
        let table: &[Row] = &[
            ("nothing given", &[], &[], &["HOME=/root", "TERM=xterm"]),
            ("explicit", &[], &["A=1", "B="], &["HOME=/root", "TERM=xterm", "A=1", "B="]),
            ("from the caller", &[], &["SHELL", "MISSING"], &["HOME=/root", "TERM=xterm", "SHELL=/bin/fish"]),
            (
                "explicit over file",
                &["A=file\nB=file"],
                &["A=1"],
                &["HOME=/root", "TERM=xterm", "A=1", "B=file"],
            ),
            (
                "later over earlier",
                &["A=1", "A=2"],
                &["B=1", "B=2"],
                &["HOME=/root", "TERM=xterm", "A=2", "B=2"],
            ),
            ("over what is inherited", &["TERM=dumb"], &["HOME=/x"], &["HOME=/x", "TERM=dumb"]),
            (
                "lines of a file",
                &["# a comment\n\n A = b c \nnothing\nURL=a=b\r\n=x\nQ=\"q\""],
                &[],
                &["HOME=/root", "TERM=xterm", "A=b c", "URL=a=b", "Q=\"q\""],
            ),
        ];
        for (summary, files, explicit, want) in table {
            assert_eq!(given(files, explicit), *want, "{summary}");
        }
    }
}
