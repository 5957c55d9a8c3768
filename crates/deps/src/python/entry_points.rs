//! `entry_points.txt`: programs that are made when a package is installed (entry points specification).

/// A program of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Launcher {
    /// Its name.
    pub(crate) name: String,
    /// The module that is imported.
    module: String,
    /// What of it is called, with dots.
    object: String,
}

impl Launcher {
    /// The text of the program, for the interpreter at `python`: that of Debian's pip, to the letter.
    pub(crate) fn script(&self, python: &str) -> String {
        let (module, object) = (&self.module, &self.object);
        let import = object.split('.').next().unwrap_or(object);
        format!(
            "#!{python}\n# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom {module} import {import}\nif __name__ == \
             '__main__':\n    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    \
             sys.exit({object}())\n"
        )
    }
}

/// The programs that `text` names, in order; the message of an error names the line.
pub(crate) fn read(text: &str) -> Result<Vec<Launcher>, String> {
    let mut launchers = Vec::new();
    let mut programs = false;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            programs = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if programs {
            let launcher = launcher(line);
            launchers.push(launcher.ok_or_else(|| format!("entry_points.txt:{number}: `{line}`"))?);
        }
    }
    launchers.sort();
    launchers.dedup();
    Ok(launchers)
}

/// Reads `name = module:object [extras]`.
fn launcher(line: &str) -> Option<Launcher> {
    let (name, place) = line.split_once('=')?;
    let place = place.split('[').next().unwrap_or(place);
    let (module, object) = place.trim().split_once(':')?;
    let (name, module, object) = (name.trim(), module.trim(), object.trim());
    let dotted = |text: &str| text.split('.').all(is_identifier);
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    (plain && dotted(module) && dotted(object)).then(|| Launcher {
        name: name.to_owned(),
        module: module.to_owned(),
        object: object.to_owned(),
    })
}

fn is_identifier(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs() {
        let text = "[console_scripts]\n# one\nb = m.n:Class.run [x]\na=m:f\n\n[other]\nc = d\n[gui_scripts]\ng = m:g\n";
        let launchers = read(text).expect("entry points");
        let names: Vec<&str> = launchers.iter().map(|launcher| launcher.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "g"]);
        let script = launchers[1].script("/usr/bin/python3");
        assert!(script.starts_with("#!/usr/bin/python3\n") && script.contains("from m.n import Class\n"));
        assert!(script.contains("sys.exit(Class.run())"), "{script}");
    }

    #[test]
    fn what_would_be_code_is_refused() {
        for line in ["a = os;x:f", "../a = m:f", "a = m", "a = m:f()", " = m:f"] {
            let message = read(&format!("[console_scripts]\n{line}\n")).expect_err("refused");
            assert!(message.starts_with("entry_points.txt:2"), "{message}");
        }
    }
}
