//! What whole-program tests are made of: packages, archives, a server that misbehaves on request, users, roots.
//!
//! What enters: a few lines that say what a test needs. What leaves: bytes and folders in the formats that the real
//! tools read, made without any of the project's own rooms, so that a fault of theirs cannot hide in its own test.
//!
//! * [`DebBuilder`] makes a `.deb`, well formed or hostile, in memory.
//! * [`ArchiveBuilder`] and [`SuiteBuilder`] lay packages out as Debian and Ubuntu do, signed by a [`SigningKey`];
//!   [`UbuntuSite`] makes both of Ubuntu's hosts. [`MirrorSubset`] fetches real packages for them.
//! * [`Server`] serves a folder on the loopback interface, with a [`Fault`] for any path, and counts what was asked.
//!   [`Proxy`] stands between a client and such a server; a [`Relay`] before any server, with a [`Trouble`] for any request;
//!   a [`Script`] answers as a test says.
//! * [`Registry`] is Debian's `docker-registry`, with accounts, a [`Certificate`] or a [`TokenServer`] on request.
//! * [`WheelBuilder`] makes a wheel, and [`TarBuilder`] a tar, well formed or hostile.
//! * [`MachineEmulation`] sets what the machine itself knows of the other architecture.
//! * [`TinySite`] is a small archive that is served, with a [`toolbox`] of programs for roots made of it.
//! * [`TestUser`] is an ordinary user of this machine with subordinate ids.
//! * [`Program`] is the program under test with a cache, a folder and an environment of its own.
//! * [`Random`] chooses by chance, the same for the same seed; [`number`] is a count that the environment may set.
//! * [`processes_about`] finds what still runs; [`await_no_process_about`] waits for its end.
//! * [`base_rootfs`] is the root filesystem that layers are put on, built once.
//! * [`tool`] is a program of this machine, [`validator`] one of those that check documents.
//! * [`Rootfs`] runs commands in a finished tar; [`rootfs_diff`] compares two of them. One made by [`PIP_AND_NPM`] has the
//!   real tools install into it.
//!
//! Nothing here returns an error: a test that cannot set its stage has failed, so every function panics with a message
//! that says what is missing. Programs that come from Debian packages are looked up by [`tool`], which names the
//! package.

mod archive;
mod base;
mod compression;
mod deb;
mod diff;
mod emulation;
mod expanding;
mod github;
mod package_registry;
mod processes;
mod program;
mod random;
mod registries;
mod registry;
mod rootfs;
mod server;
mod tar;
mod tiny;
mod token;
mod tool;
mod user;
mod wheel;

pub use archive::{
    ArchiveBuilder, MachineArchive, MirrorSubset, Package, SignatureForm, SigningKey, SuiteBuilder,
    UbuntuSite, machine_archives,
};
pub use base::{BaseRootfs, base_rootfs, kept_rootfs, our_program};
pub use compression::Compression;
pub use deb::{DebBuilder, repack};
pub use diff::{Difference, rootfs_diff};
pub use emulation::MachineEmulation;
pub use github::{GithubApi, Published, Releases};
pub use package_registry::{PackageRegistry, Told};
pub use processes::{await_no_process_about, processes_about};
pub use program::{Program, shared_folder};
pub use random::{Random, number};
pub use registries::PIP_AND_NPM;
pub use registry::{Certificate, Registry, RegistrySetup};
pub use rootfs::{Network, Rootfs};
pub use server::{Asked, Fault, Proxy, Relay, Reply, Request, Script, Server, Trouble};
pub use tar::{Content, Member, MemberKind, TarBuilder};
pub use tiny::{TinySite, machine_architecture, toolbox};
pub use token::TokenServer;
pub use tool::{output, run, tool, validator};
pub use user::TestUser;
pub use wheel::WheelBuilder;
