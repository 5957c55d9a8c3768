//! An SVG picture.

use std::fmt::Write as _;

use crate::Flow;

use super::place::columns;
use super::{Edge, Kind, Shape, shapes};

/// Sizes in pixels.
const WIDTH: usize = 170;
const HEIGHT: usize = 46;
const GAP_X: usize = 120;
const GAP_Y: usize = 26;
const MARGIN: usize = 20;

/// How many characters a box has room for.
const LETTERS: usize = 22;

const STYLE: &str = "text{font:13px sans-serif;fill:#1b1b1b}.s{font-size:11px;fill:#666}\
.l{font-size:10px;fill:#555}rect{stroke:#555;fill:#fff}.Task{fill:#eef5ff}.Flow{fill:#eefaee;stroke-width:2}\
.Slot{fill:#fff;stroke-dasharray:5 3}.Service{fill:#fff6e5}.Condition{fill:#fdeef6}.Edge{fill:#eee}\
path{fill:none;stroke:#888}";

/// The flow as a picture.
#[must_use]
pub fn svg(flow: &Flow) -> String {
    let (shapes, edges) = shapes(flow);
    let columns = columns(shapes.len(), &edges);
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) =
        (MARGIN * 2 + columns.len() * (WIDTH + GAP_X), MARGIN * 2 + rows * (HEIGHT + GAP_Y));
    let mut corners = vec![(0, 0); shapes.len()];
    for (column, numbers) in columns.iter().enumerate() {
        let free = (rows - numbers.len()) * (HEIGHT + GAP_Y) / 2;
        for (row, number) in numbers.iter().enumerate() {
            corners[*number] = (MARGIN + column * (WIDTH + GAP_X), MARGIN + free + row * (HEIGHT + GAP_Y));
        }
    }
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" \
         refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" \
         style=\"fill:#888\"/></marker></defs>\n"
    );
    for edge in &edges {
        line(&mut text, edge, corners[edge.from], corners[edge.to]);
    }
    for (shape, corner) in shapes.iter().zip(&corners) {
        rectangle(&mut text, shape, *corner);
    }
    text.push_str("</svg>\n");
    text
}

fn line(text: &mut String, edge: &Edge, from: (usize, usize), to: (usize, usize)) {
    let (x1, y1) = (from.0 + WIDTH, from.1 + HEIGHT / 2);
    let (x2, y2) = (to.0, to.1 + HEIGHT / 2);
    let bend = GAP_X / 2;
    // Writing to a text cannot fail.
    let _ = writeln!(
        text,
        "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" marker-end=\"url(#a)\"/>",
        x1 + bend,
        x2.saturating_sub(bend)
    );
    let (x, y) = (usize::midpoint(x1, x2), usize::midpoint(y1, y2));
    let _ = writeln!(
        text,
        "<text class=\"l\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        y.saturating_sub(4),
        escape(&edge.label)
    );
}

fn rectangle(text: &mut String, shape: &Shape, (x, y): (usize, usize)) {
    let class = match shape.kind {
        Kind::Task => "Task",
        Kind::Flow => "Flow",
        Kind::Slot => "Slot",
        Kind::Service => "Service",
        Kind::Condition => "Condition",
        Kind::Edge => "Edge",
    };
    let _ = writeln!(
        text,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>"
    );
    let middle = x + WIDTH / 2;
    let top = if shape.subtitle.is_empty() { y + 28 } else { y + 20 };
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"{top}\" text-anchor=\"middle\">{}</text>",
        escape(&cut(&shape.title))
    );
    if !shape.subtitle.is_empty() {
        let _ = writeln!(
            text,
            "<text class=\"s\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y + 36,
            escape(&cut(&shape.subtitle))
        );
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(LETTERS).collect();
    if text.chars().count() > LETTERS {
        short.push('…');
    }
    short
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
