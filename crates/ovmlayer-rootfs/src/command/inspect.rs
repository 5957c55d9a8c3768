//! `inspect`: what is in a tree or an image.

mod text;

use std::error::Error;
use std::process::ExitCode;

use image::inspection::Inspection;
use image::inventory::Digests;

use super::look::Look;
use crate::cli::{Cli, Inspect};
use crate::{output, printer};

/// How many of the largest files and directories stand in a report.
const IN_REPORT: usize = 200;

pub(crate) fn run(cli: &Cli, inspect: &Inspect) -> Result<ExitCode, Box<dyn Error>> {
    let how = (&inspect.choice, &inspect.registries, &inspect.network);
    let looked = Look::new(cli, how, &[&inspect.source], Digests::Sha256)?.at(&inspect.source)?;
    let inspection = |most| Inspection::new(&looked.origin, &looked.inventory, most);
    if let Some(path) = &inspect.report {
        let page = image::report::page(&inspection(IN_REPORT), &looked.inventory);
        output::write(path, page.as_bytes())?;
    }
    let inspection = inspection(usize::from(inspect.top));
    if cli.json {
        printer::result(&serde_json::to_string_pretty(&inspection)?);
    } else {
        printer::result(text::of(&inspection).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
