//! What can be fetched, and where it is.

use crate::Version;

/// Something that is released.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// What it is called, here and in `versions.json`.
    pub name: &'static str,
    /// The repository that has it by default, `OWNER/NAME`.
    pub repository: &'static str,
    /// What stands before the version in its tags, each tried in turn.
    tags: &'static [&'static str],
    /// The names of its asset, the best first: `{arch}` is amd64 or arm64, `{machine}` is x86_64 or aarch64, and `*` any text.
    assets: &'static [&'static str],
    /// What becomes of its asset.
    pub(crate) form: Form,
}

/// What becomes of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It holds programs, whose names begin so; they are taken out.
    Programs(&'static str),
    /// It is kept as it is, under this name.
    File(&'static str),
}

/// All components.
pub const COMPONENTS: [Component; 3] = [
    Component {
        name: "oocana",
        repository: "oomol/oocana-rust",
        tags: &["v", "oocana@"],
        assets: &["oocana-cli-{machine}-unknown-linux-gnu.tar.gz", "*{machine}*linux*", "*{arch}*"],
        form: Form::Programs("oocana"),
    },
    Component {
        name: "ovmlayer",
        repository: "oomol/ovmlayer",
        tags: &["ovmlayer@", "v", ""],
        assets: &["*{arch}*", "*{machine}*linux*"],
        form: Form::Programs("ovmlayer"),
    },
    Component {
        name: "rootfs",
        repository: "oomol/ovmlayer-rootfs",
        tags: &["server-base@"],
        assets: &["{arch}-server-base.tar", "{arch}-rootfs.tar", "{arch}*"],
        form: Form::File("rootfs.tar"),
    },
];

impl Component {
    /// The version that a tag is of; none when it is of something else.
    #[must_use]
    pub fn version(&self, tag: &str) -> Option<Version> {
        self.tags.iter().find_map(|prefix| tag.strip_prefix(prefix)?.parse().ok())
    }

    /// What a tag looks like, for messages.
    pub(crate) fn tag_form(&self) -> String {
        format!("{}VERSION", self.tags.first().unwrap_or(&""))
    }

    /// The names its asset may have for this architecture, the best first.
    pub(crate) fn patterns(&self, architecture: &str) -> Vec<String> {
        let machine = machine(architecture);
        self.assets
            .iter()
            .map(|name| name.replace("{arch}", architecture).replace("{machine}", machine))
            .collect()
    }
}

/// What the kernel calls an architecture.
pub(crate) fn machine(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_each_kind() {
        let [oocana, ovmlayer, rootfs] = COMPONENTS;
        for (component, tag, expected) in [
            (oocana, "v0.27.18", Some("0.27.18")),
            (oocana, "nightly", None),
            (ovmlayer, "ovmlayer@0.5.1", Some("0.5.1")),
            (ovmlayer, "v0.6.7", Some("0.6.7")),
            (ovmlayer, "0.6.7", Some("0.6.7")),
            (rootfs, "server-base@0.6.0", Some("0.6.0")),
            (rootfs, "base-rootfs@0.4.0", None),
            (rootfs, "executor-layer@0.1.4", None),
            (rootfs, "v0.1.0", None),
        ] {
            let found = component.version(tag).map(|version| version.to_string());
            assert_eq!(found.as_deref(), expected, "{tag} of {}", component.name);
        }
    }
}
