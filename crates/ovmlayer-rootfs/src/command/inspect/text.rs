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
    table(&mut text, "Fullest directories", &rows);
    let rows = inspection.largest_files.iter();
    let rows: Vec<_> = rows
        .map(|row| [size(row.bytes), row.path.clone(), row.package.clone().unwrap_or_default()])
        .collect();
    table(&mut text, "Largest files", &rows);
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
    columns(text, "", &facts);
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
    columns(text, "", &facts);
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
                layer.created_by.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(text, "Layers, the lowest first", &rows);
}

fn packages(text: &mut String, inspection: &Inspection) {
    let rows: Vec<_> = inspection
        .packages
        .iter()
        .map(|package| {
            [
                size(package.bytes),
                package.ecosystem.to_string(),
                package.name.clone(),
                package.version.clone(),
                package.part_of.as_ref().map(|whole| format!("in {whole}")).unwrap_or_default(),
            ]
        })
        .collect();
    table(text, &format!("Packages ({})", rows.len()), &rows);
    if inspection.unowned.files > 0 {
        let share = &inspection.unowned;
        let _ = writeln!(text, "  and {} in {} files that are no package's", size(share.bytes), share.files);
    }
}

/// A title and the rows, when there are any.
fn table<const N: usize>(text: &mut String, title: &str, rows: &[[String; N]]) {
    if !rows.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{title}");
        columns(text, "  ", rows);
    }
}

/// Rows whose columns are below each other; sizes, which come first, to the right.
fn columns<const N: usize>(text: &mut String, indent: &str, rows: &[[String; N]]) {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| plain(&cell))).collect();
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = indent.to_owned();
        for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let is_size = number == 0 && !indent.is_empty();
            let _ = if is_size { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
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
