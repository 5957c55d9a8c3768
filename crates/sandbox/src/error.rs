use std::io;
use std::path::PathBuf;

/// What can go wrong in this crate; the operating system's reason, if any, is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A user namespace can only be entered by a process with one thread.
    #[error("cannot enter a user namespace with {count} threads: call this first thing in `main`")]
    Threads {
        /// Threads of the process.
        count: usize,
    },
    /// This machine refuses namespaces.
    #[error("cannot {doing}; {remedy}")]
    Refused {
        /// What was tried, as in "cannot …".
        doing: &'static str,
        /// The one thing to do about it.
        remedy: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The user has no (or too few) subordinate ids.
    #[error("user `{user}` has {found} subordinate ids in {file}, but {needed} are needed; run `{command}`")]
    SubordinateIds {
        /// Name or number of the user.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// Ids found in all ranges of the user.
        found: u64,
        /// Ids needed beside the user's own.
        needed: u64,
        /// The command that adds them.
        command: String,
    },
    /// `newuidmap` or `newgidmap` is not there.
    #[error("`{program}` is not installed; install the package `uidmap`")]
    HelperMissing {
        /// The program.
        program: &'static str,
    },
    /// A program is not there.
    #[error("`{program}` is not installed; install the package `{package}`")]
    ProgramMissing {
        /// The program.
        program: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A program did not do what it should.
    #[error("cannot {doing}: `{program}` says: {message}")]
    Program {
        /// What was tried, as in "cannot …".
        doing: String,
        /// The program.
        program: &'static str,
        /// What it said, or how it ended.
        message: String,
    },
    /// The id maps could not be written.
    #[error("cannot map user and group ids: {message}")]
    MapIds {
        /// What the kernel or the set-user-id helper said.
        message: String,
    },
    /// We are root of a namespace (of a container) that has too few ids.
    #[error(
        "only {found} of the ids 0 to 65535 exist in this container; \
         start it with a full range of user and group ids"
    )]
    IdsUnmapped {
        /// How many ids of 0 to 65535 are mapped.
        found: u64,
    },
    /// The sandbox as described is impossible.
    #[error("cannot set up the sandbox: {what}")]
    Plan {
        /// Which part, and why.
        what: String,
    },
    /// One step inside the new namespaces failed.
    #[error("cannot {step}{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default())]
    Step {
        /// What was tried, as in "cannot …".
        step: String,
        /// What to do, where that is known.
        hint: Option<&'static str>,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The program could not be started in the sandbox.
    #[error("cannot run `{program}` in {}", root.display())]
    Exec {
        /// First word of the command.
        program: String,
        /// Root directory of the sandbox.
        root: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The sandbox's first process was killed from outside (for instance for want of memory).
    #[error("the sandbox running `{program}` was killed from outside; is the machine out of memory?")]
    Killed {
        /// First word of the command.
        program: String,
    },
    /// The caller cancelled the run.
    #[error("cancelled")]
    Cancelled,
    /// A limit cannot be had.
    #[error("cannot limit {controller}: {reason}")]
    Limit {
        /// The controller, as control groups name it.
        controller: &'static str,
        /// Why not, and what to do about it.
        reason: String,
    },
    /// A seccomp profile cannot be used.
    #[error("cannot use the seccomp profile: {what}")]
    Profile {
        /// What is wrong with it.
        what: String,
    },
    /// A call of the operating system failed.
    #[error("cannot {doing}")]
    System {
        /// What was tried, as in "cannot …".
        doing: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Programs of an architecture cannot be run.
    #[error("cannot run programs for {architecture} here: {reason}; {remedy}")]
    Foreign {
        /// Debian's name of the architecture.
        architecture: &'static str,
        /// Why not.
        reason: String,
        /// The one thing to do about it.
        remedy: String,
    },
    /// More directories than an overlay can have.
    #[error(
        "cannot stack {count} layers: the kernel takes {} below the top; make one of several with `ovmlayer flatten`",
        crate::overlay::MAX_LOWERS
    )]
    TooManyLowers {
        /// How many were given.
        count: usize,
    },
    /// Fewer directories than an overlay must have.
    #[error("cannot stack {count} layers: the kernel needs at least {needed} below the top")]
    TooFewLowers {
        /// How many were given.
        count: usize,
        /// How many it takes.
        needed: usize,
    },
    /// An upper that another overlay writes to.
    #[error(
        "cannot mount {} for writing: it is mounted so already, here or in another container; unmount it there, and end \
         the processes that still use it",
        upper.display()
    )]
    UpperInUse {
        /// The directory.
        upper: PathBuf,
    },
    /// Marks of overlays that a user namespace does not show.
    #[error(
        "cannot stack layers with `trusted.overlay` attributes in a user namespace, where nobody can see them; run as \
         root of the machine, or export the layers there and import them here"
    )]
    TrustedXattrs,
    /// A path that this kernel's overlayfs has no way to take.
    #[error(
        "cannot use {} in an overlay: it has more than 255 bytes or a backslash, which takes Linux 6.13; \
         use a shorter path",
        path.display()
    )]
    OverlayPath {
        /// The path.
        path: PathBuf,
    },
    /// The kernel refuses a mount, or a part of one.
    #[error("cannot {doing}; {remedy}")]
    Mount {
        /// What was tried, as in "cannot …".
        doing: String,
        /// What to do about it.
        remedy: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The process that was to keep a mount did not come up.
    #[error("cannot start the process that keeps the mount: {message}")]
    Hold {
        /// What it said: an error with its causes and what to do.
        message: String,
    },
    /// The process that keeps a mount cannot be joined, or does not end.
    #[error("cannot {doing} process {pid}, which keeps the mount; {remedy}")]
    Holder {
        /// What was tried, as in "cannot …".
        doing: &'static str,
        /// Its id.
        pid: i32,
        /// What to do about it.
        remedy: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A mount is in use.
    #[error("cannot unmount {}: it is in use; end what runs there, or detach it lazily", target.display())]
    Busy {
        /// The mount point.
        target: PathBuf,
    },
    /// Nothing is mounted there.
    #[error("cannot unmount {}: nothing is mounted there", target.display())]
    NotMounted {
        /// The supposed mount point.
        target: PathBuf,
    },
}

impl Error {
    /// For `map_err`: a failed call of the operating system.
    pub(crate) fn system<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source: source.into() }
    }
}
