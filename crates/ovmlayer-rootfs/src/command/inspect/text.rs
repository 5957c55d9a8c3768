//! An inspection for people.

use std::fmt::Write as _;

use image::inspection::{ImageFacts, Inspection};
use indicatif::BinaryBytes;

/// The text. Names are escaped where they could move the cursor of a terminal.
pub(super) fn of(inspection: &Inspection) -> String {
    let mut text = String::new();
    head(&mut text, inspection);
    if let Some(image) = &inspection.image {
        self::image(&mut text, image);
    }
    packages(&mut text, inspection);
    let rows = inspection.largest_directories.iter();
    let rows: Vec<_> = rows.map(|row| [size(row.bytes), format!("{}/", row.path)]).collect();
    table(&mut text, "Fullest directories", First::Size, &rows);
    let rows = inspection.largest_files.iter();
    let rows: Vec<_> = rows
        .map(|row| [size(row.bytes), row.path.clone(), row.package.clone().unwrap_or_default()])
        .collect();
    table(&mut text, "Largest files", First::Size, &rows);
    text
}

fn head(text: &mut String, inspection: &Inspection) {
    let totals = &inspection.totals;
    let mut facts = vec![
        ["name".to_owned(), inspection.name.clone()],
        [
            "contents".to_owned(),
            format!(
                "{} in {} files, {} directories, {} links",
                size(totals.bytes),
                totals.files,
                totals.directories,
                totals.symbolic_links + totals.hard_links
            ),
        ],
    ];
    if !inspection.release.is_empty() {
        facts.insert(1, ["system".to_owned(), inspection.release.name.clone()]);
    }
    if let Some(stored) = inspection.stored {
        facts.push(["stored".to_owned(), size(stored)]);
    }
    if let Some(digest) = &inspection.digest {
        facts.push(["digest".to_owned(), digest.clone()]);
    }
    columns(text, First::Word, "", &facts);
}

fn image(text: &mut String, image: &ImageFacts) {
    let config = &image.config;
    let list = |words: &[String]| words.join(" ");
    let keys = |words: Vec<&String>| words.into_iter().cloned().collect::<Vec<_>>().join(" ");
    let mut facts = vec![["platform", &image.platform].map(str::to_owned)];
    let more = [
        ("created", image.created.clone().unwrap_or_default()),
        ("user", config.user.clone()),
        ("directory", config.working_dir.clone()),
        ("entrypoint", list(&config.entrypoint)),
        ("command", list(&config.cmd)),
        ("ports", keys(config.exposed_ports.keys().collect())),
        ("volumes", keys(config.volumes.keys().collect())),
        ("stop signal", config.stop_signal.clone()),
    ];
    let said = more.into_iter().filter(|(_, value)| !value.is_empty());
    facts.extend(said.map(|(name, value)| [name.to_owned(), value]));
    facts.extend(config.env.iter().map(|variable| ["environment".to_owned(), variable.clone()]));
    facts.extend(config.labels.iter().map(|(name, value)| ["label".to_owned(), format!("{name}={value}")]));
    columns(text, First::Word, "", &facts);
    let rows: Vec<_> = image
        .layers
        .iter()
        .map(|layer| {
            let digest = image::digest::spell(&layer.digest);
            let removed =
                if layer.removed > 0 { format!(", {} removed", layer.removed) } else { String::new() };
            [
                size(layer.bytes),
                format!("{} stored", size(layer.size)),
                format!("{} files{removed}", layer.files),
                digest,
                short(layer.created_by.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    table(text, "Layers, the lowest first", First::Size, &rows);
}

fn packages(text: &mut String, inspection: &Inspection) {
    let (parts, wholes): (Vec<_>, Vec<_>) =
        inspection.packages.iter().partition(|package| package.part_of.is_some() && package.bytes == 0);
    let rows: Vec<_> = wholes
        .iter()
        .map(|package| {
            let name = package.name.clone();
            [size(package.bytes), package.ecosystem.to_string(), name, package.version.clone()]
        })
        .collect();
    table(text, &format!("Packages ({})", rows.len()), First::Size, &rows);
    if inspection.unowned.files > 0 {
        let share = &inspection.unowned;
        let _ = writeln!(text, "  and {} in {} files that are no package's", size(share.bytes), share.files);
    }
    let rows: Vec<_> = parts
        .iter()
        .map(|package| {
            let whole = format!("in {}", package.part_of.as_deref().unwrap_or_default());
            [package.ecosystem.to_string(), package.name.clone(), package.version.clone(), whole]
        })
        .collect();
    table(text, &format!("Packages that these bring ({})", rows.len()), First::Word, &rows);
}

/// A title and the rows, when there are any.
fn table<const N: usize>(text: &mut String, title: &str, first: First, rows: &[[String; N]]) {
    if !rows.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{title}");
        columns(text, first, "  ", rows);
    }
}

/// What stands in the first column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Size,
    Word,
}

/// Rows whose columns are below each other; sizes stand to the right.
fn columns<const N: usize>(text: &mut String, first: First, indent: &str, rows: &[[String; N]]) {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| plain(&cell))).collect();
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = indent.to_owned();
        for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let to_the_right = number == 0 && first == First::Size;
            let _ =
                if to_the_right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// The beginning of what may be a whole script; the JSON has all of it.
fn short(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Without what a terminal would obey.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}
