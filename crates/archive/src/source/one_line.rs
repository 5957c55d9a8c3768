//! `deb [option=value …] ADDRESS SUITE COMPONENT…`.

use super::{Parts, SUPPORTED_TYPES, Source, SourceError, SourceOptions, SourceProblem};

/// Parses the text of a `.list` file; one item for each line that holds a source, so that a caller may pass over
/// those it cannot use. `file` is what messages call it.
pub fn parse_one_line<'a>(
    file: &'a str,
    text: &'a str,
) -> impl Iterator<Item = Result<Source, SourceError>> + use<'a> {
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return None;
        }
        parse_line(line)
            .map_err(|problem| SourceError { file: file.to_owned(), line: index + 1, problem })
            .transpose()
    })
}

fn parse_line(line: &str) -> Result<Option<Source>, SourceProblem> {
    let (kind, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if !SUPPORTED_TYPES.contains(&kind) {
        return Err(SourceProblem::Type(kind.to_owned()));
    }
    if kind == "deb-src" {
        return Ok(None);
    }
    let (options, rest) = parse_options(rest.trim_start())?;
    let mut words = rest.split_whitespace().map(str::to_owned);
    let uri = words.next().ok_or(SourceProblem::Missing("address"))?;
    let suite = words.next().ok_or(SourceProblem::Missing("suite"))?;
    Source::build(Parts { uri, suite, components: words.collect(), options }).map(Some)
}

fn parse_options(text: &str) -> Result<(SourceOptions, &str), SourceProblem> {
    let mut options = SourceOptions::default();
    let Some(inside) = text.strip_prefix('[') else { return Ok((options, text)) };
    let refuse = || SourceProblem::Options(text.to_owned());
    let (inside, rest) = inside.split_once(']').ok_or_else(refuse)?;
    for option in inside.split_whitespace() {
        let (name, value) = option.split_once('=').ok_or_else(refuse)?;
        // `arch+=` and `arch-=` change a default that we do not have.
        let name = name.trim_end_matches(['+', '-']);
        options.set(name, &value.split(',').collect::<Vec<_>>());
    }
    Ok((options, rest))
}
