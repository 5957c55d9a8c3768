//! `list`: the recipes that can be built by name.

use std::error::Error;
use std::process::ExitCode;

use crate::printer;

pub(crate) fn run(json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let recipes = recipe::list()?;
    if json {
        let list: Vec<_> = recipes
            .iter()
            .map(|found| {
                serde_json::json!({
                    "name": found.name,
                    "path": found.path,
                    "description": found.recipe.description,
                    "architectures": found.recipe.architectures,
                })
            })
            .collect();
        printer::result(&serde_json::to_string_pretty(&list)?);
        return Ok(ExitCode::SUCCESS);
    }
    let width = recipes.iter().map(|found| found.name.len()).max().unwrap_or(0);
    for found in recipes {
        printer::result(&format!("{:width$}  {}", found.name, found.recipe.description));
    }
    Ok(ExitCode::SUCCESS)
}
