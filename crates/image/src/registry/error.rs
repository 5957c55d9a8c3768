//! What can go wrong with registries.

use std::path::PathBuf;

use cache::Digest;
use http::{Answer, Failure, Status};

use crate::digest::spell;

/// What can go wrong with registries. No message holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A transfer failed.
    #[error("cannot {action}: {failure}{hint}")]
    Transfer {
        /// What was being done, with what.
        action: String,
        /// Why it failed.
        failure: Failure,
        /// What to do about it; begins with `; `.
        hint: &'static str,
    },
    /// The registry does not let us.
    #[error("cannot {action}: {registry} answered {status} to {who}{advice}")]
    Denied {
        /// What was being done, with what.
        action: String,
        /// Host and port.
        registry: String,
        /// The status.
        status: Status,
        /// As whom we asked.
        who: String,
        /// What the registry says about it, and what to do.
        advice: String,
    },
    /// The repository is not there.
    #[error(
        "there is no repository `{repository}` in {registry}, or it is not shown to {who}; check the name{hint}"
    )]
    NoRepository {
        /// Its name.
        repository: String,
        /// Host and port.
        registry: String,
        /// As whom we asked.
        who: String,
        /// What else to do.
        hint: &'static str,
    },
    /// The repository has no such image.
    #[error("{place} has no image `{version}`; {}", tags_there(tags))]
    NoImage {
        /// The repository.
        place: String,
        /// The tag or digest.
        version: String,
        /// Some of the tags that are there.
        tags: Vec<String>,
    },
    /// The repository has no such content, though a manifest names it.
    #[error("{place} has no content {digest}: the image is not complete there; have it pushed again")]
    NoBlob {
        /// The repository.
        place: String,
        /// Which.
        digest: String,
    },
    /// The registry does not take something, or answers with a status that makes no sense.
    #[error("cannot {action}: the registry answered {status}{detail}")]
    Refused {
        /// What was being done, with what.
        action: String,
        /// The status.
        status: Status,
        /// What the registry says about it.
        detail: String,
    },
    /// The registry's answer makes no sense.
    #[error("cannot {action}: the registry's answer makes no sense: {why}")]
    Nonsense {
        /// What was being done, with what.
        action: String,
        /// What is wrong.
        why: String,
    },
    /// The bytes are others.
    #[error(
        "{what} from {place} has the digest {}, but {} is promised: it was altered or damaged on the way; run again, and \
         check what stands between this machine and the registry if it comes back",
        spell(found),
        spell(expected)
    )]
    WrongDigest {
        /// What was read.
        what: String,
        /// The repository.
        place: String,
        /// The promise.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An upload was lost on the way and has to begin again.
    #[error("cannot {action}: the registry lost the upload ({why}); run again")]
    UploadLost {
        /// What was being done, with what.
        action: String,
        /// How that was noticed.
        why: String,
    },
    /// Credentials cannot be used.
    #[error("cannot use the credentials in {whence}: {why}")]
    Credentials {
        /// The file or variable.
        whence: String,
        /// What is wrong with them.
        why: String,
    },
    /// A program that keeps credentials cannot be used.
    #[error(
        "cannot ask `{program}` for the credentials for {registry}: {why}; it is named in `{}`: install it, remove it there, \
         or give the credentials with `--creds`",
        config.display()
    )]
    Helper {
        /// The program.
        program: String,
        /// The registry.
        registry: String,
        /// The file that names it.
        config: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is not in the cache, and no network is to be used.
    #[error("{what} of {place} is not in the cache; run once without `--offline`")]
    Offline {
        /// Which content or tag.
        what: String,
        /// The repository.
        place: String,
    },
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl RegistryError {
    /// The error for a transfer that failed, with what to do about it.
    pub(super) fn transfer(action: &str, failure: Failure) -> Self {
        let hint = match &failure {
            Failure::Cancelled => return Self::Cancelled,
            Failure::Connect(_) | Failure::ConnectTimeout(_) => {
                "; check the name of the registry, the network and the proxy settings (https_proxy, no_proxy)"
            }
            Failure::Tls(_) => {
                "; a registry with a certificate of its own authority needs `--ca FILE`, one without TLS needs `--plain-http HOST`"
            }
            Failure::Stalled(_)
            | Failure::TooSlow { .. }
            | Failure::Broken(_)
            | Failure::Truncated { .. }
            | Failure::Status(Status::Passing(_)) => "; run again later to go on from where it stopped",
            Failure::Busy { .. } => {
                "; run again then, and log in if the registry lets those with an account ask more often"
            }
            Failure::BadRedirect(_) | Failure::Redirects { .. } | Failure::Protocol(_) => {
                "; this is the registry's fault, or that of a proxy before it: tell who runs it"
            }
            Failure::TooLarge { .. } | Failure::WrongSize { .. } => {
                "; the image is damaged there: have it pushed again"
            }
            Failure::Status(_) => "; run again, and tell who runs the registry if it comes back",
            _ => "",
        };
        Self::Transfer { action: action.to_owned(), failure, hint }
    }

    pub(super) fn nonsense(action: &str, why: impl Into<String>) -> Self {
        Self::Nonsense { action: action.to_owned(), why: why.into() }
    }

    pub(super) fn refused(action: &str, answer: &Answer) -> Self {
        let status = Status::from(answer.status);
        Self::Refused { action: action.to_owned(), status, detail: detail(&answer.body) }
    }

    /// Whether doing the whole content again may help.
    pub(crate) fn begins_again(&self) -> bool {
        matches!(self, Self::UploadLost { .. })
    }
}

/// What a registry says about its refusal (distribution specification, "Error Codes"), for one line of a message.
pub(super) fn detail(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct One {
        code: String,
        message: String,
    }
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return String::new() };
    let Some(first) = body.errors.first() else { return String::new() };
    let text = match (first.code.as_str(), first.message.as_str()) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}, {message}"),
    };
    // Terminals are not to be steered by registries.
    let clean: String = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
    if clean.is_empty() { clean } else { format!(" ({clean})") }
}

/// Whether a registry's answer has this error code.
pub(super) fn has_code(body: &[u8], code: &str) -> bool {
    detail(body).trim_start_matches(" (").split([',', ')']).next() == Some(code)
}

fn tags_there(tags: &[String]) -> String {
    match tags {
        [] => "it shows no tags".to_owned(),
        _ => format!("among its tags are {}", tags.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, " (DENIED, no)"),
            (r#"{"errors":[{"code":"DENIED","message":"","detail":{}}]}"#, " (DENIED)"),
            ("{\"errors\":[{\"message\":\"a\\u001b[31mb\"}]}", " (a[31mb)"),
            (r#"{"errors":[]}"#, ""),
            ("<html>", ""),
        ] {
            assert_eq!(detail(body.as_bytes()), expected);
        }
        assert!(has_code(br#"{"errors":[{"code":"NAME_UNKNOWN","message":"x"}]}"#, "NAME_UNKNOWN"));
        assert!(!has_code(br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, "NAME_UNKNOWN"));
    }
}
