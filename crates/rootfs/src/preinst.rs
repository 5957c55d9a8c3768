//! Which `preinst` scripts have to run before their package's files may appear.
//!
//! dpkg runs `preinst install` before it unpacks a package. For most packages of a minimal root that script is made by
//! debhelper from `*.maintscript` files and holds nothing but calls of `dpkg-maintscript-helper`, whose commands do
//! nothing on a first installation: dpkg-maintscript-helper(1) makes each of them depend on the version that was
//! installed before, and `preinst install` of a package that was never installed has none. Such a script can be left
//! out, and its package unpacked at any time. Every other script runs, at the point where dpkg would run it.

/// Whether `script` is known to do nothing when a package is installed for the first time.
pub(crate) fn does_nothing_at_first(script: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(script) else { return false };
    let mut lines = text.lines();
    let shell = lines
        .next()
        .is_some_and(|line| matches!(line.trim_end(), "#!/bin/sh" | "#! /bin/sh" | "#!/bin/sh -e"));
    shell && lines.all(|line| is_inert(line.trim()))
}

/// Whether one line of a shell script has no effect at a first installation.
fn is_inert(line: &str) -> bool {
    if line.is_empty() || line.starts_with('#') || matches!(line, "set -e" | "exit 0" | ":") {
        return true;
    }
    let Some(arguments) = line.strip_prefix("dpkg-maintscript-helper ") else { return false };
    let Some(arguments) = arguments.strip_suffix(" -- \"$@\"") else { return false };
    // A line that could hold a second command is not understood, and so not inert.
    let known = ["rm_conffile ", "mv_conffile ", "symlink_to_dir ", "dir_to_symlink "];
    known.iter().any(|command| arguments.starts_with(command))
        && !arguments.contains([';', '&', '|', '`', '$', '<', '>', '('])
}

#[cfg(test)]
mod tests {
    use super::does_nothing_at_first;

    #[test]
    fn only_scripts_of_debhelper_are_left_out() {
        let helper = "dpkg-maintscript-helper rm_conffile /etc/securetty 1:4.7-1\\~ -- \"$@\"";
        let cases: [(&str, String, bool); 8] = [
            ("debhelper's own", format!("#!/bin/sh\nset -e\n# Automatically added\n{helper}\n# End\n"), true),
            ("nothing at all", "#!/bin/sh\n".into(), true),
            ("not a shell script", format!("#!/usr/bin/perl\n{helper}\n"), false),
            ("one more command", format!("#!/bin/sh\n{helper}\nmkdir /a\n"), false),
            (
                "a second command on the line",
                "#!/bin/sh\ndpkg-maintscript-helper rm_conffile /a; rm /b -- \"$@\"\n".into(),
                false,
            ),
            (
                "another verb",
                "#!/bin/sh\ndpkg-maintscript-helper supports rm_conffile -- \"$@\"\n".into(),
                false,
            ),
            ("a condition", format!("#!/bin/sh\nif true; then\n{helper}\nfi\n"), false),
            (
                "a continued line",
                "#!/bin/sh\ndpkg-maintscript-helper rm_conffile /a 1 \\\n -- \"$@\"\n".into(),
                false,
            ),
        ];
        for (summary, script, expected) in cases {
            assert_eq!(does_nothing_at_first(script.as_bytes()), expected, "{summary}");
        }
    }
}
