//! What packages say about their licences, as SPDX licence expressions where that is possible.
//!
//! Nothing is guessed: an expression comes out only when every word of what was declared is known to mean one licence of
//! SPDX's list. What was declared stays beside it.

use spdx::{Expression, ParseMode};

/// The longest declaration that is kept, in bytes: some packages put the whole text of a licence there.
const DECLARED_LIMIT: usize = 200;

/// What a package says about its licence.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Licence {
    /// The words of its own metadata, each once.
    pub declared: Vec<String>,
    /// The same as an SPDX licence expression, when it has one.
    pub expression: Option<String>,
}

/// Debian's words for licences (machine-readable copyright files, section 7.1) with SPDX's, without their versions.
const DEBIAN: &[(&str, &str)] = &[
    ("expat", "MIT"),
    ("x11", "X11"),
    ("apache-2", "Apache-2.0"),
    ("artistic-2", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-4-clause", "BSD-4-Clause"),
    ("cc0", "CC0-1.0"),
    ("fsfap", "FSFAP"),
    ("isc", "ISC"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("psf-2", "PSF-2.0"),
    ("zlib", "Zlib"),
];

/// Families of licences that Debian spells with a version and `+` for "or any later".
const VERSIONED: [&str; 4] = ["gpl", "lgpl", "agpl", "gfdl"];

/// Classifiers of Python's package index that mean one licence.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("Apache Software License", "Apache-2.0"),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("ISC License (ISCL)", "ISC"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("zlib/libpng License", "Zlib"),
];

const CLASSIFIER: &str = "License :: OSI Approved :: ";

impl Licence {
    /// From the short names of Debian's copyright file, each the licence of some of the files.
    pub(super) fn of_debian(names: impl IntoIterator<Item = String>) -> Self {
        let declared = distinct(names);
        let parts: Option<Vec<String>> = declared.iter().map(|name| from_debian(name)).collect();
        Self { expression: parts.and_then(|parts| all_of(&parts)), declared }
    }

    /// From `License-Expression`, `License` and the classifiers of Python's metadata, in the order of their worth.
    pub(super) fn of_python(expression: Option<&str>, free: Option<&str>, classifiers: &[&str]) -> Self {
        if let Some(text) = expression.or(free.filter(|text| !text.contains('\n'))) {
            return Self { declared: distinct([text.to_owned()]), expression: valid(text) };
        }
        let names = classifiers.iter().filter_map(|text| text.strip_prefix(CLASSIFIER));
        let declared = distinct(names.map(str::to_owned));
        let known = |name: &String| CLASSIFIERS.iter().find(|(from, _)| from == name).map(|(_, to)| *to);
        // Two classifiers say that two licences have to do with it, not whether one may choose.
        let expression = match &declared[..] {
            [one] => known(one).map(str::to_owned),
            _ => None,
        };
        Self { declared, expression }
    }

    /// From `license` of a `package.json`.
    pub(super) fn of_npm(text: &str) -> Self {
        Self { declared: distinct([text.to_owned()]), expression: valid(text) }
    }
}

/// Each once, in the order given, without those that are too long to be names.
fn distinct(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for name in names {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if !name.is_empty() && name.len() <= DECLARED_LIMIT && !list.contains(&name) {
            list.push(name);
        }
    }
    list
}

/// The text, when it is an expression of licences of SPDX's list. References to texts of their own have no meaning outside
/// the document that holds those texts.
fn valid(text: &str) -> Option<String> {
    let fine = text.len() <= DECLARED_LIMIT
        && !text.contains("Ref-")
        && Expression::parse_mode(text, ParseMode::STRICT).is_ok();
    fine.then(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// All of them together, each once: two names may mean the same.
fn all_of(parts: &[String]) -> Option<String> {
    let mut once: Vec<&String> = Vec::with_capacity(parts.len());
    for part in parts {
        if !once.contains(&part) {
            once.push(part);
        }
    }
    let joined = match &once[..] {
        [] => return None,
        [one] => (*one).clone(),
        several => {
            let part = |text: &String| {
                if text.contains(" OR ") { format!("({text})") } else { text.clone() }
            };
            several.iter().copied().map(part).collect::<Vec<_>>().join(" AND ")
        }
    };
    // Joined it may be longer than what anybody would declare by hand.
    Expression::parse_mode(&joined, ParseMode::STRICT).is_ok().then_some(joined)
}

/// Debian's synopsis of a licence (section 7.2): names joined by `and` and `or`, of which `and` binds more tightly, unless
/// a comma says otherwise.
fn from_debian(text: &str) -> Option<String> {
    let pieces: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut words = Vec::new();
    for piece in &pieces {
        let mut terms: Vec<&str> = piece.split_whitespace().collect();
        if let Some(operator) = terms.first().copied().and_then(operator) {
            words.push(operator.to_owned());
            terms.remove(0);
        }
        let mut spelled = Vec::new();
        for term in terms {
            spelled.push(match operator(term) {
                Some(operator) => operator.to_owned(),
                None => name(term)?,
            });
        }
        let joined = spelled.join(" ");
        words.push(if pieces.len() > 1 && spelled.len() > 1 { format!("({joined})") } else { joined });
    }
    valid(&words.join(" "))
}

fn operator(word: &str) -> Option<&'static str> {
    match word {
        "and" => Some("AND"),
        "or" => Some("OR"),
        _ => None,
    }
}

/// One licence of Debian's.
fn name(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    if let Some((_, to)) = DEBIAN.iter().find(|(from, _)| *from == lower.trim_end_matches(".0")) {
        return Some((*to).to_owned());
    }
    let (plain, later) = match lower.strip_suffix('+') {
        Some(plain) => (plain, true),
        None => (lower.as_str(), false),
    };
    let family = plain.split_once('-').filter(|(family, _)| VERSIONED.contains(family));
    let Some((family, version)) = family else {
        return spdx::license_id(word).map(|id| id.name.to_owned());
    };
    let is_number = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_number || version.is_empty() {
        return None;
    }
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let ending = if later { "or-later" } else { "only" };
    let id = format!("{}-{version}-{ending}", family.to_ascii_uppercase());
    spdx::license_id(&id).map(|id| id.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_names() {
        for (declared, expected) in [
            (&["GPL-2+"][..], Some("GPL-2.0-or-later")),
            (&["GPL-3"], Some("GPL-3.0-only")),
            (&["LGPL-2.1+"], Some("LGPL-2.1-or-later")),
            (&["Expat"], Some("MIT")),
            (&["Apache-2.0"], Some("Apache-2.0")),
            (&["MPL-1.1"], Some("MPL-1.1")),
            (&["GPL-2+", "Expat", "GPL-2+"], Some("GPL-2.0-or-later AND MIT")),
            (&["GPL-2+", "GPL-2.0+", "Expat"], Some("GPL-2.0-or-later AND MIT")),
            (&["GPL-2+ or Expat", "ISC"], Some("(GPL-2.0-or-later OR MIT) AND ISC")),
            (&["GPL-2 or Expat and ISC"], Some("GPL-2.0-only OR MIT AND ISC")),
            (&["GPL-2+ or Expat, and ISC"], Some("(GPL-2.0-or-later OR MIT) AND ISC")),
            (&["public-domain"], None),
            (&["GPL-2+", "custom"], None),
            (&["GPL-2+ with OpenSSL exception"], None),
            (&["GPL-99+"], None),
            (&["GPL-"], None),
            (&["and"], None),
            (&["GPL-2 or"], None),
            (&[], None),
        ] {
            let licence = Licence::of_debian(declared.iter().map(|&name| name.to_owned()));
            assert_eq!(licence.expression.as_deref(), expected, "{declared:?}");
        }
    }

    #[test]
    fn python_and_npm() {
        let python = |expression, free, classifiers: &[&str]| {
            Licence::of_python(expression, free, classifiers).expression
        };
        assert_eq!(python(Some("MIT OR Apache-2.0"), Some("x"), &[]).as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(python(None, Some("BSD-3-Clause"), &[]).as_deref(), Some("BSD-3-Clause"));
        assert_eq!(python(None, Some("BSD"), &[]), None);
        let mit = "License :: OSI Approved :: MIT License";
        assert_eq!(python(None, Some("the whole\ntext"), &[mit]).as_deref(), Some("MIT"));
        assert_eq!(python(None, None, &["License :: OSI Approved :: BSD License"]), None);
        let apache = "License :: OSI Approved :: Apache Software License";
        assert_eq!(python(None, None, &[mit, apache]), None);
        assert_eq!(Licence::of_npm("(MIT OR CC0-1.0)").expression.as_deref(), Some("(MIT OR CC0-1.0)"));
        for text in ["SEE LICENSE IN x", "UNLICENSED", "LicenseRef-x", "", "MIT AND"] {
            assert_eq!(Licence::of_npm(text).expression, None, "{text}");
        }
    }
}
