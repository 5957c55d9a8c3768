//! deb822 sources: stanzas of `Types`, `URIs`, `Suites`, `Components` and options.

use super::{Parts, SUPPORTED_TYPES, SignedBy, Source, SourceError, SourceOptions, SourceProblem};
use crate::deb822::{Stanza, stanzas, value_lines};

/// Parses the text of a `.sources` file; one item for each combination of address and suite, and one error for each
/// stanza that cannot be used, so that a caller may pass over those. `file` is what messages call it.
pub fn parse_deb822(file: &str, text: &str) -> Vec<Result<Source, SourceError>> {
    let mut sources = Vec::new();
    // A stanza of comments alone describes nothing.
    for stanza in
        stanzas(text).filter(|stanza| stanza.fields().next().is_some() || stanza.malformed_line().is_some())
    {
        match parse_stanza(stanza) {
            Ok(found) => sources.extend(found.into_iter().map(Ok)),
            Err((place, problem)) => {
                let error = SourceError { file: file.to_owned(), line: line_of(text, place), problem };
                sources.push(Err(error));
            }
        }
    }
    sources
}

/// A problem, and a part of the text that it is about.
type Located<'a> = (&'a str, SourceProblem);

fn parse_stanza(stanza: Stanza<'_>) -> Result<Vec<Source>, Located<'_>> {
    if let Some(line) = stanza.malformed_line() {
        return Err((
            line,
            SourceProblem::Syntax("expected `Name: value`, or a continuation of it that begins with a blank"),
        ));
    }
    let first = stanza.fields().next().map_or(stanza.text(), |field| field.name);
    let need = |name, what| stanza.get(name).ok_or((first, SourceProblem::Missing(what)));
    if stanza.get("Enabled").is_some_and(|value| matches!(value, "no" | "false" | "0" | "off")) {
        return Ok(Vec::new());
    }
    let types = need("Types", "field `Types`")?;
    if let Some(other) = words(types).find(|kind| !SUPPORTED_TYPES.contains(kind)) {
        return Err((other, SourceProblem::Type(other.to_owned())));
    }
    if !words(types).any(|kind| kind == "deb") {
        return Ok(Vec::new());
    }
    let uris = need("URIs", "field `URIs`")?;
    let suites = need("Suites", "field `Suites`")?;
    let components = stanza.get("Components").unwrap_or_default();
    let options = parse_options(stanza);
    let mut sources = Vec::new();
    for uri in words(uris) {
        for suite in words(suites) {
            let parts = Parts {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                components: words(components).map(str::to_owned).collect(),
                options: options.clone(),
            };
            let place = |problem: &SourceProblem| match problem {
                SourceProblem::Address(_) => uri,
                SourceProblem::Trusted => stanza.get("Trusted").unwrap_or(first),
                SourceProblem::Flat(_) | SourceProblem::Missing(_) => suite,
                _ => first,
            };
            sources.push(Source::build(parts).map_err(|problem| (place(&problem), problem))?);
        }
    }
    if sources.is_empty() {
        return Err((first, SourceProblem::Missing("address or suite")));
    }
    Ok(sources)
}

fn parse_options(stanza: Stanza<'_>) -> SourceOptions {
    let mut options = SourceOptions::default();
    for field in stanza.fields() {
        options.set(field.name, &words(field.value).collect::<Vec<_>>());
    }
    if let Some(value) =
        stanza.get("Signed-By").filter(|value| value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
    {
        options.signed_by = SignedBy::Inline(unfold(value));
    }
    options
}

/// An armoured key within a field: each line is indented, and a lone dot stands for an empty line.
fn unfold(value: &str) -> String {
    value_lines(value).map(|line| if line == "." { "\n".to_owned() } else { format!("{line}\n") }).collect()
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value_lines(value).flat_map(str::split_whitespace)
}

/// The line, counted from 1, on which a part of `text` stands.
fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
