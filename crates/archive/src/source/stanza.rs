//! deb822 sources: stanzas of `Types`, `URIs`, `Suites`, `Components` and options.

use super::{Parts, SUPPORTED_TYPES, SignedBy, Source, SourceError, SourceOptions, SourceProblem};
use crate::release::fields::{Field, Stanza, find, stanzas};

/// Parses the text of a `.sources` file; one item for each combination of address and suite, and one error for each
/// stanza that cannot be used, so that a caller may pass over those. `file` is what messages call it.
pub fn parse_deb822(file: &str, text: &str) -> Vec<Result<Source, SourceError>> {
    let error = |line, problem| Err(SourceError { file: file.to_owned(), line, problem });
    let stanzas = match stanzas(text, true) {
        Ok(stanzas) => stanzas,
        Err(bad) => return vec![error(bad.line, SourceProblem::Syntax(bad.reason))],
    };
    let mut sources = Vec::new();
    for stanza in stanzas {
        match parse_stanza(&stanza) {
            Ok(found) => sources.extend(found.into_iter().map(Ok)),
            Err((line, problem)) => sources.push(error(line, problem)),
        }
    }
    sources
}

type Located = (usize, SourceProblem);

fn parse_stanza(stanza: &Stanza<'_>) -> Result<Vec<Source>, Located> {
    let first = stanza.first().map_or(1, |field| field.line);
    let need = |name, what| find(stanza, name).ok_or((first, SourceProblem::Missing(what)));
    if find(stanza, "Enabled").is_some_and(|field| matches!(field.value, "no" | "false" | "0" | "off")) {
        return Ok(Vec::new());
    }
    let types = need("Types", "field `Types`")?;
    if let Some(other) = types.words().find(|kind| !SUPPORTED_TYPES.contains(kind)) {
        return Err((types.line, SourceProblem::Type(other.to_owned())));
    }
    if !types.words().any(|kind| kind == "deb") {
        return Ok(Vec::new());
    }
    let uris = need("URIs", "field `URIs`")?;
    let suites = need("Suites", "field `Suites`")?;
    let components = find(stanza, "Components");
    let options = parse_options(stanza);
    let mut sources = Vec::new();
    for uri in uris.words() {
        for suite in suites.words() {
            let parts = Parts {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                components: components.map(words).unwrap_or_default(),
                options: options.clone(),
            };
            sources
                .push(Source::build(parts).map_err(|problem| (line_of(stanza, &problem, first), problem))?);
        }
    }
    if sources.is_empty() {
        return Err((first, SourceProblem::Missing("address or suite")));
    }
    Ok(sources)
}

fn parse_options(stanza: &Stanza<'_>) -> SourceOptions {
    let mut options = SourceOptions::default();
    for field in stanza {
        options.set(field.name, &field.words().collect::<Vec<_>>());
    }
    if let Some(field) = find(stanza, "Signed-By").filter(|field| is_inline(field)) {
        options.signed_by = SignedBy::Inline(unfold(field));
    }
    options
}

fn is_inline(field: &Field<'_>) -> bool {
    std::iter::once(&field.value)
        .chain(&field.continuation)
        .any(|line| line.trim_start().starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"))
}

/// An armoured key within a field: each line is indented, and a lone dot stands for an empty line.
fn unfold(field: &Field<'_>) -> String {
    let lines = std::iter::once(&field.value).chain(&field.continuation).map(|line| line.trim());
    let lines: Vec<&str> = lines.map(|line| if line == "." { "" } else { line }).collect();
    format!("{}\n", lines.join("\n").trim_start())
}

fn words(field: &Field<'_>) -> Vec<String> {
    field.words().map(str::to_owned).collect()
}

/// The line of the field that a problem is about.
fn line_of(stanza: &Stanza<'_>, problem: &SourceProblem, first: usize) -> usize {
    let name = match problem {
        SourceProblem::Address(_) => "URIs",
        SourceProblem::Trusted => "Trusted",
        SourceProblem::Flat(_) | SourceProblem::Missing(_) => "Suites",
        _ => return first,
    };
    find(stanza, name).map_or(first, |field| field.line)
}
