//! `WWW-Authenticate`: how a registry wants to be told who asks (RFC 9110, section 11.6.1).

/// The most challenges, and the most parameters of one, that are looked at: more is hostile.
const LIMIT: usize = 16;

/// One way to authenticate that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `basic`, `bearer` …, in lower case.
    pub scheme: String,
    /// `realm`, `service`, `scope` …, names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by its lower-case name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The challenges in one header field. What cannot be understood ends the list: what stands before it counts.
#[must_use]
pub fn parse(field: &str) -> Vec<Challenge> {
    let mut rest = Rest(field);
    let mut challenges = Vec::new();
    while challenges.len() < LIMIT {
        rest.skip(&[' ', '\t', ',']);
        let Some(scheme) = rest.token() else { break };
        let mut challenge = Challenge { scheme: scheme.to_ascii_lowercase(), parameters: Vec::new() };
        let clean = parameters(&mut rest, &mut challenge);
        challenges.push(challenge);
        if !clean {
            break;
        }
    }
    challenges
}

/// Reads parameters up to the next scheme; whether the text made sense so far.
fn parameters(rest: &mut Rest<'_>, challenge: &mut Challenge) -> bool {
    while challenge.parameters.len() < LIMIT {
        rest.skip(&[' ', '\t', ',']);
        let before = rest.0;
        let Some(name) = rest.token() else { return rest.0.is_empty() };
        rest.skip(&[' ', '\t']);
        if !rest.take('=') {
            // Not a parameter but the next scheme.
            rest.0 = before;
            return true;
        }
        rest.skip(&[' ', '\t']);
        let Some(value) = rest.value() else { return false };
        challenge.parameters.push((name.to_ascii_lowercase(), value));
    }
    false
}

struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, letters: &[char]) {
        self.0 = self.0.trim_start_matches(letters);
    }

    fn take(&mut self, letter: char) -> bool {
        self.0.strip_prefix(letter).is_some_and(|rest| {
            self.0 = rest;
            true
        })
    }

    /// RFC 9110, section 5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        let end = self.0.find(|letter| !is_token(letter)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a text in quotes (RFC 9110, section 5.6.4).
    fn value(&mut self) -> Option<String> {
        if !self.take('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut letters = self.0.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str) -> String {
        let words = parse(field).into_iter().map(|challenge| {
            let parameters: Vec<_> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}({})", challenge.scheme, parameters.join(";"))
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges() {
        for (summary, field, expected) in [
            ("basic", r#"Basic realm="Registry""#, "basic(realm=Registry)"),
            (
                "bearer",
                r#"Bearer realm="https://auth/token",service="reg",scope="repository:a/b:pull,push""#,
                "bearer(realm=https://auth/token;service=reg;scope=repository:a/b:pull,push)",
            ),
            ("blanks", "  bearer  realm = \"x\" ,  service=y ", "bearer(realm=x;service=y)"),
            ("two in one field", r#"Basic realm="a", Bearer realm="b""#, "basic(realm=a) bearer(realm=b)"),
            ("no parameters", "Negotiate", "negotiate()"),
            ("none and others", "Negotiate, Basic realm=x", "negotiate() basic(realm=x)"),
            ("quoted quotes", r#"Basic realm="a\"b\\c""#, "basic(realm=a\"b\\c)"),
            ("an open quote", r#"Basic a=b, realm="x"#, "basic(a=b)"),
            ("nothing", "", ""),
            ("no words", "\"=,", ""),
            ("other letters", "Basic realm=\"ä€\"", "basic(realm=ä€)"),
        ] {
            assert_eq!(shown(field), expected, "{summary}");
        }
    }

    #[test]
    fn hostile_lengths_are_bounded() {
        assert_eq!(parse(&"Basic a=b,".repeat(10_000)).len(), LIMIT);
        assert_eq!(parse(&format!("Basic {}", "a=b,".repeat(10_000)))[0].parameters.len(), LIMIT);
    }
}
