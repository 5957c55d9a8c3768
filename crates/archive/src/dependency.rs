//! Relation fields: `Depends`, `Pre-Depends`, `Conflicts`, `Breaks`, `Provides`, `Replaces` and the like.
//!
//! A field is a list of groups parted by commas; a group is a list of alternatives parted by bars (Debian Policy 7.1).
//! Restrictions to architectures and build profiles (`[linux-any]`, `<!nocheck>`) only occur in source packages and
//! are passed over.

use std::cmp::Ordering;
use std::fmt;

use crate::version;

/// The longest version that a relation may name, in bytes; real ones stay below 100.
const MAX_VERSION: usize = 512;

/// How the version of a package must compare with the one that a relation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `<<`
    Less,
    /// `<=`, and the old `<`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the old `>`
    GreaterOrEqual,
    /// `>>`
    Greater,
}

impl Relation {
    /// Whether a version that compares so with the named one fits.
    #[must_use]
    pub fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Greater => ordering.is_gt(),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">>",
        })
    }
}

/// A version and how to compare with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Constraint<'a> {
    /// How to compare.
    pub relation: Relation,
    /// The version on the right-hand side, as written.
    pub version: &'a str,
}

impl Constraint<'_> {
    /// Whether a package of this version fits.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.relation.accepts(version::compare(version, self.version))
    }
}

/// One alternative of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alternative<'a> {
    /// The name of a package, real or virtual.
    pub name: &'a str,
    /// What stands after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// Which versions fit; all when there is none.
    pub constraint: Option<Constraint<'a>>,
    /// Whether a bar follows, that is, whether the next alternative belongs to the same group.
    pub or_next: bool,
}

impl fmt::Display for Alternative<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some(Constraint { relation, version }) = self.constraint {
            write!(f, " ({relation} {version})")?;
        }
        Ok(())
    }
}

/// A relation field that cannot be understood; holds what is left of the field where reading stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the relation at `{0}`")]
pub struct RelationError(String);

/// The alternatives of a relation field, one after the other, across the groups.
#[must_use]
pub fn alternatives(field: &str) -> Alternatives<'_> {
    Alternatives { rest: field.trim_ascii() }
}

/// The groups of a relation field, each with its alternatives.
///
/// # Errors
/// When the field cannot be understood.
pub fn groups(field: &str) -> Result<Vec<Vec<Alternative<'_>>>, RelationError> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for alternative in alternatives(field) {
        let alternative = alternative?;
        group.push(alternative);
        if !alternative.or_next {
            groups.push(std::mem::take(&mut group));
        }
    }
    Ok(groups)
}

/// The alternatives of a relation field; see [`alternatives`].
#[derive(Clone, Debug)]
pub struct Alternatives<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Alternatives<'a> {
    type Item = Result<Alternative<'a>, RelationError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A comma too many, at the end or elsewhere, is common in hand-written fields.
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest.trim_ascii_start();
        }
        if self.rest.is_empty() {
            return None;
        }
        let start = self.rest;
        let found = self.read();
        if found.is_none() {
            self.rest = "";
        }
        Some(found.ok_or_else(|| RelationError(start.chars().take(80).collect())))
    }
}

impl<'a> Alternatives<'a> {
    fn read(&mut self) -> Option<Alternative<'a>> {
        let end = self.rest.find(|c: char| c.is_ascii_whitespace() || "()[]<>,|".contains(c));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_ascii_start();
        let (name, qualifier) = match name.rsplit_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (name, None),
        };
        if name.is_empty() || qualifier == Some("") {
            return None;
        }
        let constraint = if self.rest.starts_with('(') { Some(self.read_constraint()?) } else { None };
        self.skip_restrictions()?;
        let or_next = self.rest.starts_with('|');
        if let Some(rest) = self.rest.strip_prefix(['|', ',']) {
            self.rest = rest.trim_ascii_start();
        } else if !self.rest.is_empty() {
            return None;
        }
        // A group that ends in a bar lacks an alternative.
        (!or_next || !self.rest.is_empty()).then_some(Alternative { name, qualifier, constraint, or_next })
    }

    fn read_constraint(&mut self) -> Option<Constraint<'a>> {
        let (inside, rest) = self.rest.strip_prefix('(')?.split_once(')')?;
        self.rest = rest.trim_ascii_start();
        let inside = inside.trim_ascii();
        let operators = [
            ("<<", Relation::Less),
            ("<=", Relation::LessOrEqual),
            (">>", Relation::Greater),
            (">=", Relation::GreaterOrEqual),
            ("=", Relation::Equal),
            ("<", Relation::LessOrEqual),
            (">", Relation::GreaterOrEqual),
        ];
        let found =
            operators.iter().find_map(|(sign, relation)| Some((*relation, inside.strip_prefix(sign)?)));
        let (relation, version) = found?;
        let version = version.trim_ascii();
        (1..=MAX_VERSION).contains(&version.len()).then_some(Constraint { relation, version })
    }

    fn skip_restrictions(&mut self) -> Option<()> {
        loop {
            let close = match self.rest.bytes().next() {
                Some(b'[') => ']',
                Some(b'<') => '>',
                _ => return Some(()),
            };
            self.rest = self.rest.split_once(close)?.1.trim_ascii_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(field: &str) -> Result<Vec<String>, String> {
        let groups = groups(field).map_err(|error| error.to_string())?;
        let join =
            |group: &Vec<Alternative>| group.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        Ok(groups.iter().map(join).collect())
    }

    #[test]
    fn fields_are_read() {
        let too_long = format!("cannot read the relation at `a (= {}`", "1".repeat(75));
        for (summary, field, expected) in [
            ("empty", "", Ok(vec![])),
            ("plain", "a, b", Ok(vec!["a", "b"])),
            ("alternatives", "a|b (<< 1) | c, d", Ok(vec!["a | b (<< 1) | c", "d"])),
            ("no spaces", "a(>=1:2-3),b(=4)", Ok(vec!["a (>= 1:2-3)", "b (= 4)"])),
            ("old operators", "a (< 1), b (> 2)", Ok(vec!["a (<= 1)", "b (>= 2)"])),
            ("qualifiers", "a:any, b:native (= 1), c:amd64", Ok(vec!["a:any", "b:native (= 1)", "c:amd64"])),
            ("restrictions", "a [linux-any] <!nocheck> <x>, b <y>", Ok(vec!["a", "b"])),
            ("continuation lines", "a,\n b (>=\n 1),\n", Ok(vec!["a", "b (>= 1)"])),
            ("commas too many", ", a,, b,", Ok(vec!["a", "b"])),
            ("no closing", "a, b (>= 1", Err("cannot read the relation at `b (>= 1`")),
            ("no operator", "a (1)", Err("cannot read the relation at `a (1)`")),
            ("a version without end", &format!("a (= {})", "1".repeat(513)), Err(&too_long)),
            ("no version", "a (>=)", Err("cannot read the relation at `a (>=)`")),
            ("no name", "(>= 1)", Err("cannot read the relation at `(>= 1)`")),
            ("nothing after the bar", "a |", Err("cannot read the relation at `a |`")),
            ("two names", "a b", Err("cannot read the relation at `a b`")),
            ("empty qualifier", "a:", Err("cannot read the relation at `a:`")),
        ] {
            let expected =
                expected.map(|all| all.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
            assert_eq!(shown(field), expected, "{summary}");
        }
    }

    #[test]
    fn constraints_compare_as_dpkg_does() {
        let constraint = Constraint { relation: Relation::Less, version: "1.0" };
        assert!(constraint.accepts("1.0~rc1"));
        assert!(!constraint.accepts("0:1.0-0"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_text_ends(field in "[a-c:(<=>)|,\\[\\] é0-1]{0,40}") {
            prop_assert!(alternatives(&field).count() <= field.len());
        }

        #[test]
        fn what_is_shown_reads_the_same(field in "[a-c]{1,3}(:any)?( \\((<<|<=|=|>=|>>) [0-9]{1,3}\\))?((, | \\| )[d-f]{1,3}){0,3}") {
            let once = shown(&field).unwrap();
            prop_assert_eq!(shown(&once.join(", ")).unwrap(), once);
        }
    }
}
