//! Layers into files and back.

use std::fs;
use std::path::Path;

use layers::archive::{self, Dialect};
use layers::{Engine, LayerName};

use super::{Outcome, done, engine_inside};
use crate::cli::{Export, Form, Import};
use crate::printer;

pub(crate) fn export(export: &Export) -> Outcome {
    let exported = engine_inside()?.export(&export.layer, &export.dest, dialect(export.format))?;
    done(&format!(
        "exported {} layers of {} entries to `{}`",
        exported.layers,
        exported.entries,
        export.dest.display()
    ))
}

pub(crate) fn import(import: &Import) -> Outcome {
    let engine = engine_inside()?;
    if let Some(external) = &import.external {
        is_external(&engine, external)?;
    }
    let how = archive::Import {
        rename: import.rename.clone(),
        dialect: dialect(import.format),
        ..archive::Import::default()
    };
    let names = engine.import(&import.file, &how)?;
    for name in &names {
        // The layer is there, whether or not anything can be said about it.
        for misfit in engine.misfits(name).unwrap_or_default() {
            printer::warning(&format!("layer `{name}` {misfit}"));
        }
    }
    if import.external.is_some() {
        for name in &names {
            engine.move_to_external(name)?;
        }
    }
    let names: Vec<_> = names.iter().map(LayerName::as_str).collect();
    done(&format!("imported `{}` from `{}`", names.join("`, `"), import.file.display()))
}

fn dialect(form: Form) -> Dialect {
    match form {
        Form::Ovmlayer => Dialect::Ovmlayer,
        Form::Oci => Dialect::Oci,
    }
}

/// There is one external store, that of the setup; the flag can only say the same.
fn is_external(engine: &Engine, given: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let known = engine.external()?.root();
    if fs::canonicalize(given).is_ok_and(|given| given == known) {
        return Ok(());
    }
    let (given, known) = (given.display(), known.display());
    Err(format!("`{given}` is not the external store, which is `{known}`; `ovmlayer setup` chooses it")
        .into())
}
