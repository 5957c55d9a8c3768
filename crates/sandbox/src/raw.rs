//! The system calls for which rustix has no safe form: clone, exec, seccomp, signal masks.
//!
//! All `unsafe` of the project is in this file. What runs between [`fork`] and `exec` in a program with several
//! threads may only make system calls: another thread may have held the allocator's lock at the moment of
//! the fork, and in the child nobody will ever release it.
#![expect(unsafe_code, reason = "these system calls take pointers, or return twice")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a [`fork`] the caller is on.
#[derive(Debug)]
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The calling process, with the child's id as seen from here.
    Parent(Pid),
}

/// Forks with the given `CLONE_NEW*` flags; the child has a copy of the memory and of every descriptor.
///
/// # Safety
/// Unless this process has a single thread, the child must do nothing but make system calls on memory prepared
/// before (no allocation, no lock, no panic) until it calls exec or [`exit`].
pub(crate) unsafe fn fork(flags: c_int) -> Result<Fork, Errno> {
    let flags = c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child runs on its own copy of the
    // stack. The zeros are unused pointers, so their order, which differs by architecture, does not matter.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone, flags, 0 as c_long, 0 as c_long, 0 as c_long, 0 as c_long) };
    if pid < 0 {
        return Err(last_errno());
    }
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Ok(Fork::Parent(pid)),
        None => Ok(Fork::Child),
    }
}

/// Whether `fork` may be followed by ordinary code in the child: the number of threads of this process.
pub(crate) fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Ends the process at once, without destructors or buffers being flushed.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Moves the calling thread into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the call is only unsafe with `FILES`, which would break descriptors owned by other threads.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// A null-terminated array of C strings, as exec takes it.
#[derive(Debug)]
pub(crate) struct Strings {
    pointers: Vec<*const c_char>,
    /// Owns what `pointers` points to; a `CString` keeps its bytes on the heap, so moving this is sound.
    _owned: Vec<CString>,
}

impl Strings {
    pub(crate) fn new(owned: Vec<CString>) -> Self {
        let pointers = owned.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { pointers, _owned: owned }
    }
}

/// Replaces the program; returns only when that failed.
pub(crate) fn exec(path: &CStr, argv: &Strings, env: &Strings) -> Errno {
    // SAFETY: both arrays are null-terminated and their strings live as long as `argv` and `env`.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    last_errno()
}

/// Memory for the stack of a [`vfork`] child.
#[derive(Debug)]
pub(crate) struct Stack(Vec<u128>);

impl Stack {
    /// 64 KiB: the child makes a few system calls in shallow functions.
    pub(crate) fn new() -> Self {
        Self(vec![0; 4096])
    }
}

struct Trampoline<'a, T> {
    child: fn(&mut T),
    value: &'a mut T,
}

extern "C" fn enter_child<T>(argument: *mut c_void) -> c_int {
    // SAFETY: `vfork` below passes a pointer to a live Trampoline of this very type, and its frame is
    // suspended until this child has ended or called exec, so nobody else touches it.
    let trampoline = unsafe { &mut *argument.cast::<Trampoline<'_, T>>() };
    (trampoline.child)(trampoline.value);
    127
}

/// Starts a process that shares our memory and runs `child` on its own stack, while we stand still until it
/// calls exec or ends. What `child` leaves in `value` can be read afterwards.
///
/// # Safety
/// `child` must only make system calls (no allocation, no lock, no panic), and this process must have one thread.
pub(crate) unsafe fn vfork<T>(stack: &mut Stack, child: fn(&mut T), value: &mut T) -> Result<Pid, Errno> {
    let mut trampoline = Trampoline { child, value };
    let top = stack.0.as_mut_ptr_range().end.cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `top` ends a live, 16-byte-aligned buffer used by nobody else; CLONE_VFORK suspends us until the
    // child no longer uses our memory, so `trampoline` outlives its use.
    let pid = unsafe { libc::clone(enter_child::<T>, top, flags, (&raw mut trampoline).cast()) };
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(last_errno)
}

/// Every signal that can be blocked.
fn full_set() -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is valid, and sigfillset only writes to it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// The thread's signal mask from before [`block_signals`], restored on drop.
#[derive(Debug)]
pub(crate) struct Blocked(libc::sigset_t);

/// Blocks all signals in this thread, so that no handler of this program runs in a forked child.
pub(crate) fn block_signals() -> Blocked {
    let full = full_set();
    // SAFETY: both pointers are to live sets; an all-zero set is a valid initial value.
    unsafe {
        let mut before = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const full, &raw mut before);
        Blocked(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: restores a mask that the kernel gave us.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Blocks all signals but one in this thread, for good.
pub(crate) fn block_all_but(signal: c_int) {
    let mut set = full_set();
    // SAFETY: the set is live and initialised, and is only read by the second call.
    unsafe {
        libc::sigdelset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// The process that holds a lock (`F_SETLK`) of a file: its id, or 0 or less for one in another pid namespace
/// or on another machine. rustix has this call too, but takes such a number for an id.
pub(crate) fn lock_holder(file: BorrowedFd<'_>) -> Result<Option<c_int>, Errno> {
    // SAFETY: an all-zero flock is valid and asks for the whole file; the kernel writes its answer to the live value.
    let lock = unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        // A wish to write, against which the locks of readers stand too.
        lock.l_type = libc::F_WRLCK as libc::c_short;
        if libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) < 0 {
            return Err(last_errno());
        }
        lock
    };
    Ok((c_int::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid))
}

/// A set of these signals.
fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: an all-zero sigset_t is valid; the calls only write to it, and refuse numbers that are no signal.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Blocks these signals in this thread, and gives a descriptor that reports them.
pub(crate) fn catch_signals(signals: &[i32]) -> Result<(Blocked, OwnedFd), Errno> {
    let set = set_of(signals);
    let descriptor = descriptor_of(&set)?;
    // SAFETY: both pointers are to live sets; an all-zero set is a valid initial value.
    let blocked = unsafe {
        let mut before = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        Blocked(before)
    };
    Ok((blocked, descriptor))
}

/// A descriptor that reports every blocked signal.
pub(crate) fn signal_descriptor() -> Result<OwnedFd, Errno> {
    descriptor_of(&full_set())
}

fn descriptor_of(set: &libc::sigset_t) -> Result<OwnedFd, Errno> {
    // SAFETY: the set is live; a non-negative result is a descriptor that nobody else owns.
    unsafe {
        let fd = libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(last_errno()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: i32,
    /// Whether the kernel itself sent it, as it does for keys typed at a terminal.
    pub(crate) by_kernel: bool,
    /// Whether its sender is in our process namespace.
    pub(crate) from_inside: bool,
}

/// The next signal of a descriptor made by this module, if one is pending.
pub(crate) fn next_signal(fd: BorrowedFd<'_>) -> Option<Received> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut buffer = [0_u8; SIZE];
    let read = rustix::io::read(fd, &mut buffer).ok()?;
    if read != SIZE {
        return None;
    }
    // The first fields are number, errno, code and sender (signalfd(2)); a sender outside of our process namespace
    // is shown as 0 (pid_namespaces(7)).
    let [signal, _, code, sender] = [0, 4, 8, 12].map(|at| {
        let bytes = [buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]];
        i32::from_ne_bytes(bytes)
    });
    Some(Received { signal, by_kernel: code == libc::SI_KERNEL, from_inside: sender != 0 })
}

/// Whether this process ignores a signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    // SAFETY: an all-zero sigaction is valid; the call only writes to it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Sends `signal`; errors (the process is gone) do not matter to the callers.
pub(crate) fn kill(pid: Pid, signal: i32) {
    // SAFETY: kill has no memory effects.
    unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) };
}

/// Sends `signal` to every process of our process namespace but ourselves, which must be its first.
pub(crate) fn kill_all(signal: i32) {
    // SAFETY: kill has no memory effects.
    unsafe { libc::kill(-1, signal) };
}

/// Gives every signal but those of `keep` its default action and unblocks all: what a new program expects to find.
pub(crate) fn reset_signals(keep: &[i32]) {
    // The kernel's `struct sigaction`: handler (0 is SIG_DFL), flags, mask and on some machines a restorer.
    let default = [0_u64; 4];
    for signal in (1..=64).filter(|signal| !keep.contains(signal)) {
        // Not by libc, which keeps two signals to itself; they may have been ignored by whoever started us.
        // SAFETY: the kernel reads at most 32 bytes of the live array; for SIGKILL and SIGSTOP it does nothing.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), 8)
        };
    }
    // SAFETY: an all-zero set is the empty set and is live during the call.
    unsafe {
        let empty: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

/// Closes every descriptor from 3 on but those given.
pub(crate) fn close_all_but<'a>(keep: &(impl Iterator<Item = BorrowedFd<'a>> + Clone)) -> Result<(), Errno> {
    let mut first = 3;
    loop {
        let kept = keep.clone().map(|fd| fd.as_raw_fd().cast_unsigned()).filter(|fd| *fd >= first).min();
        let last = kept.map_or(u32::MAX, |kept| kept.saturating_sub(1));
        if first <= last {
            // SAFETY: only called in a forked child that never again uses the descriptors it inherited.
            let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
            if done < 0 {
                return Err(last_errno());
            }
        }
        match kept {
            Some(kept) => first = kept + 1,
            None => return Ok(()),
        }
    }
}

/// One instruction of a BPF program (`struct sock_filter`).
pub(crate) type Instruction = libc::sock_filter;

/// Puts a seccomp filter on the calling thread; needs CAP_SYS_ADMIN in the user namespace, or no_new_privs.
pub(crate) fn install_filter(program: &[Instruction]) -> Result<(), Errno> {
    let Ok(len) = u16::try_from(program.len()) else { return Err(Errno::INVAL) };
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // Without SPEC_ALLOW, kernels before 5.16 turn a costly speculation mitigation on for the filtered process.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the kernel copies `len` instructions from the live slice and writes nothing.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            c_long::from(libc::SECCOMP_SET_MODE_FILTER),
            flags,
            &raw const filter,
        )
    };
    if done < 0 { Err(last_errno()) } else { Ok(()) }
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Sets attributes on a mount and all below it, and makes them private (Linux 5.12).
pub(crate) fn set_mount_attributes(mount: &OwnedFd, set: MountAttrFlags) -> Result<(), Errno> {
    let attributes =
        MountAttributes { set: set.bits().into(), propagation: libc::MS_PRIVATE, ..Default::default() };
    const AT_RECURSIVE: c_int = 0x8000;
    let flags = libc::AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: the path is a null-terminated constant; the structure is live and its true size is given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if done < 0 { Err(last_errno()) } else { Ok(()) }
}

/// Brings up the loopback device of the network namespace we are in.
pub(crate) fn loopback_up() -> Result<(), Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: an all-zero ifreq is valid; the name is null-terminated; the ioctl reads the flags of the live value.
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed() as c_char;
        request.ifr_name[1] = b'o'.cast_signed() as c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request)
    };
    if done < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
