//! A process that keeps a mount alive for an ordinary user, whose mounts end with the namespace they are in.
//!
//! It waits in a user and a mount namespace of its own and does nothing. Who it is, and whether it lives, is told by the
//! lock that it holds on a file of the caller's, the *lease*: a POSIX lock (`F_SETLK`), since the kernel gives its holder's
//! id to whoever asks, and takes the lock away whichever way the process ends. Others join its namespaces.
#![expect(unsafe_code, reason = "forks the process that keeps the mount")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use rustix::thread::ThreadNameSpaceType;

use crate::raw::{self, Fork};
use crate::{Error, enter};

/// How often it is looked who holds a lease, when the one found was gone at the next look.
const LOOKS: usize = 100;

/// How long a process may take to heed SIGTERM, in seconds.
const PATIENCE: i64 = 5;

/// How long a process may take to end after SIGKILL, in seconds. It is certain to end, but the end of its mount waits for
/// everything that has been written to the upper's file system, which may be a lot, and on a slow disk.
const PATIENCE_WITH_DISK: i64 = 600;

/// Who holds a lease.
#[derive(Debug)]
pub enum Held {
    /// Nobody: the mount is gone.
    Free,
    /// A process that can be joined.
    Here(Holder),
    /// A process that cannot be seen from here: in another container, or on another machine.
    Elsewhere,
}

/// A process that keeps a mount.
#[derive(Debug)]
pub struct Holder {
    pid: Pid,
    /// Stays this process even when its id has become another's.
    descriptor: OwnedFd,
}

/// Starts a process that enters namespaces of its own, calls `mount` there and keeps what it mounted.
///
/// To be called while there is one thread, by a process that has not entered a user namespace of its own. `lease` is
/// open for reading; it must not be locked by flock(2), since the new process keeps it open. The caller sees to it that
/// nobody else calls this with the same lease at the same time.
///
/// When this returns, the lease is held and all other descriptors of the caller's, such as that of a lock, are closed in
/// the new process, which is in a session of its own. It lives until [`Holder::release`], whatever becomes of the caller.
///
/// # Errors
/// When `mount` fails, with its error and that error's causes as text; when there is no namespace to be had, and
/// when the lease has a holder already. Nothing then stays mounted.
pub fn hold<E: std::error::Error>(
    lease: &File,
    mount: impl FnOnce() -> Result<(), E>,
) -> Result<Holder, Error> {
    enter::require_one_thread()?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("create a pipe"))?;
    // SAFETY: this process has one thread, so the child may run any code.
    match unsafe { raw::fork(0) } {
        Ok(Fork::Child) => {
            drop(read);
            keep(lease, write, mount)
        }
        Ok(Fork::Parent(pid)) => {
            drop(write);
            // It is a child not waited for yet, so the id is its own.
            let opened = rustix::process::pidfd_open(pid, PidfdFlags::empty());
            let mut message = String::new();
            let read = File::from(read).read_to_string(&mut message);
            let message = match (read, message.strip_suffix('.')) {
                (Ok(_), Some("")) => {
                    let descriptor = opened.map_err(Error::system(format!("watch process {pid}")))?;
                    return Ok(Holder { pid, descriptor });
                }
                (Ok(_), Some(message)) => message.to_owned(),
                _ => "it died".to_owned(),
            };
            while let Err(Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
            Err(Error::Hold { message })
        }
        Err(errno) => Err(Error::system("start a process")(errno)),
    }
}

/// The life of the process that keeps the mount.
fn keep<E: std::error::Error>(lease: &File, answer: OwnedFd, mount: impl FnOnce() -> Result<(), E>) -> ! {
    // Whatever happens, this copy of the caller must not go on as the caller.
    let kept = catch_unwind(AssertUnwindSafe(|| {
        prepare(lease, &answer, mount)?;
        Ok::<_, String>(())
    }));
    // A full stop ends every answer, so that a process that dies half-way is not taken for one that is done.
    let message = match &kept {
        Ok(Ok(())) => ".".to_owned(),
        Ok(Err(message)) => format!("{message}."),
        Err(_) => raw::exit(1),
    };
    let told = File::from(answer).write_all(message.as_bytes());
    if told.is_err() || message != "." {
        raw::exit(1);
    }
    loop {
        // SIGTERM, the one signal that is not blocked, ends the process; SIGKILL does so always.
        rustix::event::pause();
    }
}

fn prepare<E: std::error::Error>(
    lease: &File,
    answer: &OwnedFd,
    mount: impl FnOnce() -> Result<(), E>,
) -> Result<(), String> {
    raw::reset_signals(&[]);
    raw::block_all_but(libc::SIGTERM);
    let system = |doing: &'static str| move |errno: Errno| format!("cannot {doing}: {errno}");
    rustix::process::setsid().map_err(system("start a session"))?;
    enter::enter_user_namespace().map_err(|error| chain(&error))?;
    mount().map_err(|error| chain(&error))?;
    rustix::process::chdir("/").map_err(system("change to /"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(system("let go of the terminal"))?;
    // Its number is closed next; nothing may close it again.
    std::mem::forget(null);
    raw::close_all_but(&[lease.as_fd(), answer.as_fd()].into_iter()).map_err(system("close descriptors"))?;
    let cannot_lock = |errno: Errno| format!("cannot lock the lease: {errno}");
    if raw::lock_holder(lease.as_fd()).map_err(cannot_lock)?.is_some() {
        return Err("another process keeps it already; unmerge first".to_owned());
    }
    // Last: the lock would go when any other descriptor of the lease is closed. A reader's lock, since one for writing takes
    // a descriptor for writing, and that keeps a file system from being made read-only.
    rustix::fs::fcntl_lock(lease, FlockOperation::NonBlockingLockShared).map_err(cannot_lock)?;
    // A name to be known by in lists of processes; it has no other use.
    let _ = rustix::thread::set_name(c"ovmlayer-holder");
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Who holds a lease; the file needs to be open for reading only.
///
/// # Errors
/// When the file system has no locks, or the holder cannot be watched.
pub fn holder_of(lease: &File) -> Result<Held, Error> {
    for _ in 0..LOOKS {
        let asked = || raw::lock_holder(lease.as_fd()).map_err(Error::system("ask who holds a lease"));
        let pid = match asked()? {
            None => return Ok(Held::Free),
            Some(number) => number,
        };
        let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else { return Ok(Held::Elsewhere) };
        let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            // It has ended since.
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(Error::system(format!("watch process {pid}"))(errno)),
        };
        // Who holds the lease now as before held it in between, when it was opened.
        if asked()? == Some(pid.as_raw_nonzero().get()) {
            return Ok(Held::Here(Holder { pid, descriptor }));
        }
    }
    // The process that took the lock has ended and left it to one that shared its descriptors: no holder of ours.
    Ok(Held::Elsewhere)
}

impl Holder {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Moves this process into the holder's user and mount namespaces, where it is root and sees the mount. Its working
    /// directory becomes `/`.
    ///
    /// To be called while there is one thread, by the user who started the holder, outside of its namespaces.
    ///
    /// # Errors
    /// When the holder has ended or belongs to somebody else.
    pub fn join(&self) -> Result<(), Error> {
        enter::require_one_thread()?;
        let both = ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT;
        rustix::thread::move_into_thread_name_spaces(self.descriptor.as_fd(), both)
            .and_then(|()| enter::become_root())
            .map_err(|errno| {
                let remedy = match errno {
                    Errno::SRCH => "it has ended: merge again",
                    Errno::PERM => "run this as the user who merged",
                    _ => "unmerge, then merge again",
                };
                self.error("join the namespaces of", remedy, errno)
            })
    }

    /// Ends the process, and waits until it has ended. With it ends the mount, unless somebody else is in the namespaces.
    ///
    /// # Errors
    /// When it belongs to somebody else, or has not ended 10 minutes after a SIGKILL that came 5 seconds after SIGTERM.
    pub fn release(self) -> Result<(), Error> {
        let mut ended = false;
        for (signal, patience) in [(Signal::TERM, PATIENCE), (Signal::KILL, PATIENCE_WITH_DISK)] {
            match rustix::process::pidfd_send_signal(&self.descriptor, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(self.error("end", "run this as the user who merged", errno)),
            }
            ended = self.wait(patience).map_err(|errno| self.error("wait for", "try again", errno))?;
            if ended {
                break;
            }
        }
        // Collects it where it is our child; where it is not there is nothing to do.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = rustix::process::waitid(WaitId::PidFd(self.descriptor.as_fd()), options);
        let remedy = "the disk of its layers does not take what was written: look after it, then try again";
        if ended { Ok(()) } else { Err(self.error("end", remedy, Errno::TIMEDOUT)) }
    }

    /// Whether it ends within so many seconds.
    fn wait(&self, seconds: i64) -> Result<bool, Errno> {
        let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let mut fds = [PollFd::from_borrowed_fd(self.descriptor.as_fd(), PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                other => return other.map(|ready| ready > 0),
            }
        }
    }

    fn error(&self, doing: &'static str, remedy: &'static str, errno: Errno) -> Error {
        let pid = self.pid.as_raw_nonzero().get();
        Error::Holder { doing, pid, remedy, source: errno.into() }
    }
}
