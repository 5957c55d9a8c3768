//! Flags as Go programs take them: with one dash or two, their value after `=` or a space.
//!
//! The parser of the command line knows `--dest FILE` and would read `-dest FILE` as four flags. So before it sees them,
//! words are brought into the one form `--name=value`, by its own table of flags. Nothing is refused here: what is not
//! known stays as it is, for the parser to complain about.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::{Arg, Command};

/// Words, the program's own name first, in the form that `root` parses.
pub(crate) fn normalise(root: &Command, words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words = words.into_iter();
    let mut normal: Vec<OsString> = words.next().into_iter().collect();
    let mut command = root;
    while let Some(word) = words.next() {
        if word == "--" {
            normal.push(word);
            normal.extend(words);
            break;
        }
        if let Some(text) = flag_text(&word) {
            normal.push(flag(root, command, text, &mut words).unwrap_or(word));
        } else if let Some(inner) = command.find_subcommand(&word) {
            command = inner;
            normal.push(word);
        } else if command.get_positionals().any(Arg::is_trailing_var_arg_set) {
            // From here on everything belongs to the command that is to be run.
            normal.push("--".into());
            normal.push(word);
            normal.extend(words);
            break;
        } else {
            normal.push(word);
        }
    }
    normal
}

/// What follows the one or two dashes of a flag; `-` alone is none.
fn flag_text(word: &OsStr) -> Option<&[u8]> {
    let rest = word.as_bytes().strip_prefix(b"-")?;
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    (!rest.is_empty()).then_some(rest)
}

/// The flag `text` in normal form, with its value taken from `words` where it is a word of its own; `None` when there is
/// no such flag.
fn flag(
    root: &Command,
    command: &Command,
    text: &[u8],
    words: &mut impl Iterator<Item = OsString>,
) -> Option<OsString> {
    // A blank separates where a caller has put flag and value into one word: `--mount type=bind,…`.
    let end = text.iter().position(|byte| b"= ".contains(byte)).unwrap_or(text.len());
    let name = std::str::from_utf8(&text[..end]).ok()?;
    if ["help", "version"].contains(&name) {
        return Some(format!("--{name}").into());
    }
    let own = command.get_arguments();
    let all = own.chain(root.get_arguments().filter(|argument| argument.is_global_set()));
    let argument = all.into_iter().find(|argument| is_called(argument, name))?;
    let mut normal = format!("--{}", argument.get_long()?).into_bytes();
    let value = match text.get(end + 1..) {
        Some(value) => Some(value.to_vec()),
        None if argument.get_action().takes_values() => words.next().map(OsString::into_vec),
        None => None,
    };
    if let Some(value) = value {
        normal.push(b'=');
        normal.extend(value);
    }
    Some(OsString::from_vec(normal))
}

/// Whether `name` is one of the flag's names, long or of one letter.
fn is_called(argument: &Arg, name: &str) -> bool {
    let mut letters = name.chars();
    let letter = letters.next().filter(|_| letters.next().is_none());
    argument.get_long() == Some(name)
        || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        || (letter.is_some() && argument.get_short() == letter)
}
