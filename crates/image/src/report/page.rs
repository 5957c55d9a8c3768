//! The part of the page that is there without JavaScript.

use std::fmt::Write as _;

use super::kinds::{Kind, Sizes};
use super::markup::{bytes, escape};
use crate::inspection::{ImageFacts, Inspection, PackageRow};

/// Everything between the head and the script.
pub(super) fn body(inspection: &Inspection, kinds: &Sizes) -> String {
    let totals = &inspection.totals;
    let mut facts = vec![
        ("Files", format!("{} in {} files", bytes(totals.bytes), totals.files)),
        ("Packages", inspection.packages.len().to_string()),
    ];
    if !inspection.release.name.is_empty() {
        facts.insert(0, ("System", inspection.release.name.clone()));
    }
    if let Some(stored) = inspection.stored {
        facts.push(("Stored", bytes(stored)));
    }
    if let Some(digest) = &inspection.digest {
        facts.push(("Digest", digest.clone()));
    }
    if let Some(image) = &inspection.image {
        facts.push(("Platform", image.platform.clone()));
    }
    let facts: String = facts
        .iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(value)))
        .collect();
    let mut page = format!(
        "<header>\n<h1><bdi>{}</bdi></h1>\n<dl>\n{facts}</dl>\n</header>\n<main>\n",
        escape(&inspection.name)
    );
    map(&mut page, kinds);
    packages(&mut page, inspection);
    let rows = inspection.largest_directories.iter();
    let rows = rows.map(|row| (row.path.as_str(), format!("{} files", row.files), row.bytes));
    sized(&mut page, "Fullest directories", ["Directory", "Files"], rows, totals.bytes);
    let rows = inspection.largest_files.iter();
    let rows = rows.map(|row| (row.path.as_str(), row.package.clone().unwrap_or_default(), row.bytes));
    sized(&mut page, "Largest files", ["File", "Package"], rows, totals.bytes);
    if let Some(image) = &inspection.image {
        layers(&mut page, image);
    }
    page.push_str("</main>\n");
    page
}

/// Where the script draws the map, with what its colours mean.
fn map(page: &mut String, kinds: &Sizes) {
    let there = Kind::ALL.into_iter().enumerate().filter(|(_, kind)| kinds.get(*kind) > 0);
    let legend: String = there
        .map(|(number, kind)| {
            format!("<li><i class=\"k{number}\"></i>{} {}</li>", kind.label(), bytes(kinds.get(kind)))
        })
        .collect();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<section id=\"map-section\" aria-labelledby=\"map-title\" hidden>\n<h2 id=\"map-title\">Where the bytes are</h2>\n\
         <div class=\"bar\"><div id=\"views\" role=\"group\" aria-label=\"Divided\"></div>\n<ul class=\"legend\">{legend}</ul></div>\n\
         <nav aria-label=\"Part that is shown\"><ol id=\"where\"></ol></nav>\n\
         <div id=\"map\" role=\"group\" aria-labelledby=\"map-title\"></div>\n<div id=\"tip\" aria-hidden=\"true\" hidden></div>\n\
         <p id=\"status\" role=\"status\"></p>\n\
         <p class=\"hint\">Choose a part to look into it; <kbd>Esc</kbd> goes back out, the arrow keys go from part to part.</p>\n\
         </section>\n<noscript><p>The map of this page needs JavaScript; the tables say the same.</p></noscript>\n"
    );
}

fn packages(page: &mut String, inspection: &Inspection) {
    // What another package brings takes no room of its own.
    let own = |package: &&PackageRow| package.bytes > 0 || package.part_of.is_none();
    let mut packages: Vec<_> = inspection.packages.iter().filter(own).collect();
    packages.sort_by_key(|package| std::cmp::Reverse(package.bytes));
    open(page, "Packages", &["Package", "Version", "Kind", "Licence", "Size"]);
    for package in packages {
        let licence = package.licence.as_deref().unwrap_or_default();
        row(
            page,
            &[&package.name, &package.version, package.ecosystem.name(), licence],
            package.bytes,
            inspection.totals.bytes,
        );
    }
    row(page, &["no package", "", "", ""], inspection.unowned.bytes, inspection.totals.bytes);
    close(page);
}

fn sized<'r>(
    page: &mut String,
    title: &str,
    [first, second]: [&str; 2],
    rows: impl Iterator<Item = (&'r str, String, u64)>,
    total: u64,
) {
    open(page, title, &[first, second, "Size"]);
    for (name, note, size) in rows {
        row(page, &[name, &note], size, total);
    }
    close(page);
}

fn layers(page: &mut String, image: &ImageFacts) {
    open(page, "Layers", &["Digest", "Made by", "Files", "Stored", "Size"]);
    let total = image.layers.iter().map(|layer| layer.bytes).sum();
    for layer in &image.layers {
        let made_by = layer.created_by.as_deref().unwrap_or_default();
        let digest = crate::digest::spell(&layer.digest);
        row(page, &[&digest, made_by, &layer.files.to_string(), &bytes(layer.size)], layer.bytes, total);
    }
    close(page);
}

fn open(page: &mut String, title: &str, columns: &[&str]) {
    let columns: String = columns.iter().map(|column| format!("<th scope=\"col\">{column}</th>")).collect();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<section>\n<h2>{title}</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n\
         <table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n"
    );
}

fn row(page: &mut String, cells: &[&str], size: u64, total: u64) {
    let cells: String = cells.iter().map(|cell| format!("<td><bdi>{}</bdi></td>", escape(cell))).collect();
    // Attributes of a drawing are no styles, which the policy of the page would have to allow.
    let width = 100.0 * size as f64 / total.max(1) as f64;
    let share = format!(
        "<svg class=\"share\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"100\" height=\"10\"/><rect width=\"{width:.2}\" height=\"10\"/></svg>"
    );
    let _ = writeln!(page, "<tr>{cells}<td class=\"size-cell\">{}{share}</td></tr>", bytes(size));
}

fn close(page: &mut String) {
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}
