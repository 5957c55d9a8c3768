//! apt's own configuration (`apt.conf(5)`), as far as it is needed to find a proxy in it.

use std::fs;
use std::path::{Path, PathBuf};

/// Larger files are no configuration.
const SIZE_LIMIT: u64 = 4 << 20;

/// A value with the names that lead to it, in lower case (apt ignores case).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: Vec<String>,
    pub(super) value: String,
}

impl Setting {
    pub(super) fn is(&self, name: &[&str]) -> bool {
        self.name == name
    }
}

/// All settings of the folder `apt`, in apt's order: `apt.conf.d` by name, then `apt.conf`. What cannot be read is
/// passed over, as by apt.
pub(super) fn read(apt: &Path) -> Vec<Setting> {
    let mut files: Vec<PathBuf> = fs::read_dir(apt.join("apt.conf.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|file| is_part(file));
    files.sort();
    files.push(apt.join("apt.conf"));
    let small =
        |file: &PathBuf| fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= SIZE_LIMIT);
    files
        .iter()
        .filter(|file| small(file))
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| parse(&text))
        .collect()
}

/// Names that apt reads in `apt.conf.d`: no suffix but `.conf`, nothing but letters, digits, hyphens and underscores.
fn is_part(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.strip_suffix(".conf").unwrap_or(&name);
    !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Parses a configuration: `a::b "value";` and `a { b "value"; };`, with comments of three kinds.
pub(super) fn parse(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut scopes: Vec<Vec<String>> = Vec::new();
    let mut name: Option<Vec<String>> = None;
    let mut value: Option<String> = None;
    for token in tokens(text) {
        match token {
            Token::Word(word) if name.is_none() => {
                name = Some(
                    word.split("::").filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect(),
                );
            }
            Token::Word(word) | Token::Quoted(word) => value = Some(word),
            Token::Open => scopes.push(name.take().unwrap_or_default()),
            Token::Close => {
                scopes.pop();
                (name, value) = (None, None);
            }
            Token::End => {
                if let (Some(name), Some(value)) = (name.take(), value.take()) {
                    let full = scopes.iter().flatten().cloned().chain(name).collect();
                    settings.push(Setting { name: full, value });
                }
                (name, value) = (None, None);
            }
        }
    }
    settings
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let line_end = || rest.find('\n').unwrap_or(rest.len());
        rest = match first {
            '{' | '}' | ';' => {
                tokens.push(match first {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                });
                after
            }
            '"' => {
                let (inside, after) = after.split_once('"').unwrap_or((after, ""));
                tokens.push(Token::Quoted(inside.to_owned()));
                after
            }
            '#' => &rest[line_end()..],
            _ if rest.starts_with("//") => &rest[line_end()..],
            _ if rest.starts_with("/*") => after.split_once("*/").map_or("", |(_, after)| after),
            _ if first.is_whitespace() => after,
            _ => {
                let end = rest
                    .find(|letter: char| letter.is_whitespace() || matches!(letter, '{' | '}' | ';' | '"'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                tokens.push(Token::Word(word.to_owned()));
                after
            }
        };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_and_all_comments() {
        let text = r#"
            // Acquire::http::Proxy "http://no:1";
            # Acquire::http::Proxy "http://no:2";
            /* Acquire::http::Proxy "http://no:3"; */
            Acquire::HTTP::Proxy "http://one:1";
            Acquire { http { Proxy "http://two:2"; Proxy::Host "DIRECT"; }; Retries "3"; };
            APT::Update::Post-Invoke { "rm -f x || true"; };
            Last::value word;
        "#;
        let found: Vec<String> =
            parse(text).iter().map(|set| format!("{}={}", set.name.join("::"), set.value)).collect();
        assert_eq!(
            found,
            [
                "acquire::http::proxy=http://one:1",
                "acquire::http::proxy=http://two:2",
                "acquire::http::proxy::host=DIRECT",
                "acquire::retries=3",
                "last::value=word",
            ]
        );
    }

    #[test]
    fn nonsense_does_not_stop_it() {
        for text in ["}", "};};", "\"", "a", "/*", "{{{{", "a \"b", "é::ü \"ß\";"] {
            let _ = parse(text);
        }
        assert_eq!(parse("} a::b \"c\";").len(), 1);
    }
}
