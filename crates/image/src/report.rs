//! A page that shows where the bytes of a tree are: one file, which needs no network and works without JavaScript.
//!
//! What enters: an [`Inspection`] and the inventory it was made of. What leaves: HTML whose map can be walked by mouse and by
//! keyboard, and whose tables say the same. Every name in it may have been chosen by somebody hostile, so it is escaped, and
//! a policy in the page lets nothing run but the one script that is in it by its digest.

mod kinds;
mod markup;
mod nodes;
mod page;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cache::Digest;

use crate::inspection::Inspection;
use crate::inventory::Inventory;
use markup::escape;

const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/script.js");

/// The page.
#[must_use]
pub fn page(inspection: &Inspection, inventory: &Inventory) -> String {
    let title = escape(&inspection.name);
    let (style, script) = (source_of(STYLE), source_of(SCRIPT));
    let body = page::body(inspection, &nodes::kinds(&inventory.files));
    let data = markup::script_data(&nodes::views(inventory));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; \
         style-src '{style}'; script-src '{script}'\">\n\
         <title>{title}: where the bytes are</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// The name of inline contents in a content security policy (CSP level 3, "hash-source").
fn source_of(contents: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(contents.as_bytes()).0))
}
