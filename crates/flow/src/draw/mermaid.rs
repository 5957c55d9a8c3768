//! Mermaid text, for a README.

use std::fmt::Write as _;

use crate::Flow;

use super::{Kind, shapes};

/// The flow as a Mermaid flowchart.
#[must_use]
pub fn mermaid(flow: &Flow) -> String {
    let (shapes, edges) = shapes(flow);
    let mut text = String::from("flowchart LR\n");
    for (number, shape) in shapes.iter().enumerate() {
        let (open, close) = match shape.kind {
            Kind::Task => ("[", "]"),
            Kind::Flow => ("[[", "]]"),
            Kind::Slot => ("[/", "/]"),
            Kind::Service => ("[(", ")]"),
            Kind::Condition => ("{", "}"),
            Kind::Edge => ("([", "])"),
        };
        let subtitle = if shape.subtitle.is_empty() {
            String::new()
        } else {
            format!("<br/>{}", quote(&shape.subtitle))
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  n{number}{open}\"{}{subtitle}\"{close}", quote(&shape.title));
    }
    for edge in edges {
        let _ = writeln!(text, "  n{} -->|\"{}\"| n{}", edge.from, quote(&edge.label), edge.to);
    }
    text
}

/// Text inside quotes, where some characters have names.
fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("#quot;"),
            '#' => quoted.push_str("#35;"),
            '<' => quoted.push_str("#lt;"),
            '>' => quoted.push_str("#gt;"),
            '|' => quoted.push_str("#124;"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted
}
