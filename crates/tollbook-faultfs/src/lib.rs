//! A library to preload (`LD_PRELOAD`) into a process whose writing is to be watched or broken, or whose
//! clock is to be wrong.
//!
//! It stands between the process and the file system for the files below one directory, and changes
//! nothing for all others. What it does is said by environment variables, all of them full paths:
//!
//! | variable | meaning |
//! |---|---|
//! | `FAULTFS_DIR` | the directory; without it nothing is done to files |
//! | `FAULTFS_LOG` | append every change of the directory to this file, in the order it happened |
//! | `FAULTFS_ACKS` | what is written to this file is put into the log as well, as a mark |
//! | `FAULTFS_FULL` | while this file is there, the disk is full: no file is made, none grows |
//! | `FAULTFS_FULL_AFTER` | with `FAULTFS_FULL`: so many bytes still fit |
//! | `FAULTFS_EIO` | when this file is there, it is removed and one fsync fails |
//! | `FAULTFS_CLOCK` | the wall clock is wrong by as many seconds as this file says |
//!
//! A log record is a byte for the kind, the length of the path, an offset, the length of the data
//! (each little-endian: u32, u64, u32), the path, the data. `fallocate` made past the C library is
//! not seen, so a sync carries the length that the file has by then. This crate must never call the
//! C library's own file functions, which would come back here: it makes system calls.

mod clock;

use libc::{
    SYS_faccessat, SYS_fallocate, SYS_fdatasync, SYS_fsync, SYS_ftruncate, SYS_openat, SYS_pwritev,
    SYS_readlink, SYS_rename, SYS_unlink, SYS_writev, c_char, c_int, c_long, c_void, iovec, mode_t, off_t,
    size_t, ssize_t, syscall,
};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What the environment asked for.
struct Setup {
    dir: Vec<u8>,
    log: Option<c_int>,
    acks: Option<CString>,
    full: Option<CString>,
    full_after: u64,
    eio: Option<CString>,
}

/// Bytes that files have grown by while the disk was said to be full. The lock also makes a change
/// and its log record one step.
static GROWN: Mutex<u64> = Mutex::new(0);

fn setup() -> Option<&'static Setup> {
    static SETUP: OnceLock<Option<Setup>> = OnceLock::new();
    let path = |name| {
        std::env::var_os(name).and_then(|value: std::ffi::OsString| CString::new(value.as_bytes()).ok())
    };
    SETUP
        .get_or_init(|| {
            let dir = path("FAULTFS_DIR")?.into_bytes();
            let log = path("FAULTFS_LOG").map(|log| {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
                // SAFETY: the path ends in a zero byte and lives through the call.
                let fd = unsafe { syscall(SYS_openat, libc::AT_FDCWD, log.as_ptr(), flags, 0o600) };
                or_abort(fd) as c_int
            });
            let full_after = std::env::var("FAULTFS_FULL_AFTER").ok().and_then(|bytes| bytes.parse().ok());
            Some(Setup {
                dir,
                log,
                acks: path("FAULTFS_ACKS"),
                full: path("FAULTFS_FULL"),
                full_after: full_after.unwrap_or(0),
                eio: path("FAULTFS_EIO"),
            })
        })
        .as_ref()
}

/// A test that cannot be watched must not pass.
fn or_abort(result: c_long) -> c_long {
    if result < 0 {
        // SAFETY: ends the process; has no conditions.
        unsafe { libc::abort() }
    }
    result
}

fn fail(error: c_int) -> c_int {
    // SAFETY: the C library gives every thread a valid place for its error.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn lock() -> MutexGuard<'static, u64> {
    GROWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exists(path: &CStr) -> bool {
    // SAFETY: the path ends in a zero byte and lives through the call.
    unsafe { syscall(SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::F_OK) == 0 }
}

impl Setup {
    fn holds(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.dir.as_slice()).is_some_and(|rest| rest.first() == Some(&b'/'))
            || path == self.dir.as_slice()
    }

    /// The path of an open file, if it lies in the directory and still has a name.
    fn path_of(&self, fd: c_int) -> Option<Vec<u8>> {
        let path = path_of(fd)?;
        (self.holds(&path) && !path.ends_with(b" (deleted)")).then_some(path)
    }

    fn is_full(&self) -> bool {
        self.full.as_ref().is_some_and(|control| exists(control))
    }

    fn log(&self, kind: u8, path: &[u8], offset: u64, data: &[u8]) {
        let Some(log) = self.log else { return };
        let mut header = [0; 17];
        header[0] = kind;
        header[1..5].copy_from_slice(&(path.len() as u32).to_le_bytes());
        header[5..13].copy_from_slice(&offset.to_le_bytes());
        header[13..17].copy_from_slice(&(data.len() as u32).to_le_bytes());
        let parts = [part(&header), part(path), part(data)];
        // SAFETY: the parts point at slices that live through the call.
        let written = or_abort(unsafe { syscall(SYS_writev, log, parts.as_ptr(), parts.len()) });
        or_abort(written - (header.len() + path.len() + data.len()) as c_long);
    }
}

fn part(bytes: &[u8]) -> iovec {
    iovec { iov_base: bytes.as_ptr() as *mut c_void, iov_len: bytes.len() }
}

fn whole(bytes: *const c_void, count: size_t) -> iovec {
    iovec { iov_base: bytes.cast_mut(), iov_len: count }
}

fn path_of(fd: c_int) -> Option<Vec<u8>> {
    let link = CString::new(format!("/proc/self/fd/{fd}")).ok()?;
    let mut path = vec![0_u8; 1_024];
    // SAFETY: the link ends in a zero byte, and the buffer has the length that is given.
    let length = unsafe { syscall(SYS_readlink, link.as_ptr(), path.as_mut_ptr(), path.len()) };
    path.truncate(usize::try_from(length).ok()?);
    Some(path)
}

fn stat(fd: c_int) -> libc::stat {
    // SAFETY: all zeros is a valid value of this structure of plain numbers.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours and lives through the call.
    or_abort(unsafe { libc::fstat(fd, &mut found) }.into());
    found
}

fn size_of(fd: c_int) -> u64 {
    stat(fd).st_size.max(0) as u64
}

/// Opening: `C` when a file comes to be, `T` when one is emptied.
///
/// # Safety
///
/// As for `openat`: the path ends in a zero byte.
unsafe fn opened(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: passed on as the caller gave it.
    let open = || unsafe { syscall(SYS_openat, dir, path, flags, mode) as c_int };
    let (Some(setup), true) = (setup(), flags & (libc::O_CREAT | libc::O_TRUNC) != 0) else { return open() };
    // SAFETY: the caller gives a path that ends in a zero byte.
    let name = unsafe { CStr::from_ptr(path) };
    let _guard = lock();
    // SAFETY: as above.
    let existed = unsafe { syscall(SYS_faccessat, dir, path, libc::F_OK) == 0 };
    if !existed && setup.holds(name.to_bytes()) && setup.is_full() {
        return fail(libc::ENOSPC);
    }
    let fd = open();
    if fd >= 0
        && let Some(path) = setup.path_of(fd)
    {
        match existed {
            false => setup.log(b'C', &path, 0, b""),
            true if flags & libc::O_TRUNC != 0 => setup.log(b'T', &path, 0, b""),
            true => {}
        }
    }
    fd
}

/// Writing, at an offset or where the file stands: `W`, or `A` for the file of marks.
///
/// # Safety
///
/// As for `writev`: `parts` points at `count` parts, each of which can be read.
unsafe fn written(fd: c_int, parts: *const iovec, count: c_int, at: Option<off_t>) -> ssize_t {
    let write = |parts: *const iovec, count: c_int| -> ssize_t {
        // SAFETY: passed on as the caller gave it, or fewer of its bytes.
        let count = unsafe {
            match at {
                Some(offset) => syscall(SYS_pwritev, fd, parts, count, offset, 0),
                None => syscall(SYS_writev, fd, parts, count),
            }
        };
        count as ssize_t
    };
    let Some(setup) = setup() else { return write(parts, count) };
    let Some(path) = path_of(fd).filter(|path| !path.ends_with(b" (deleted)")) else {
        return write(parts, count);
    };
    let is_mark = setup.acks.as_ref().is_some_and(|acks| acks.as_bytes() == path);
    if !is_mark && !setup.holds(&path) {
        return write(parts, count);
    }
    // SAFETY: the caller gives `count` parts, each of which can be read.
    let mut bytes = unsafe {
        let parts = std::slice::from_raw_parts(parts, usize::try_from(count).unwrap_or(0));
        // A part of no bytes may point nowhere.
        let parts = parts.iter().filter(|part| part.iov_len > 0);
        parts.flat_map(|p| std::slice::from_raw_parts(p.iov_base.cast::<u8>(), p.iov_len)).copied()
    }
    .collect::<Vec<u8>>();
    let mut grown = lock();
    // SAFETY: asks for a position, touches no memory.
    let offset = at.unwrap_or_else(|| unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) }).max(0) as u64;
    if !is_mark && setup.is_full() {
        let growth = (offset + bytes.len() as u64).saturating_sub(size_of(fd));
        let room = setup.full_after.saturating_sub(*grown);
        if growth > room {
            let fits = bytes.len() as u64 - (growth - room).min(bytes.len() as u64);
            if fits == 0 {
                return fail(libc::ENOSPC) as ssize_t;
            }
            bytes.truncate(fits as usize);
        }
        *grown += growth.min(room);
    }
    let done = write([part(&bytes)].as_ptr(), 1);
    if let Ok(done) = usize::try_from(done) {
        setup.log(if is_mark { b'A' } else { b'W' }, &path, offset, &bytes[..done]);
    }
    done
}

fn truncated(fd: c_int, size: off_t) -> c_int {
    // SAFETY: touches no memory.
    let truncate = || unsafe { syscall(SYS_ftruncate, fd, size) as c_int };
    let Some((setup, path)) = setup().and_then(|setup| Some((setup, setup.path_of(fd)?))) else {
        return truncate();
    };
    let _guard = lock();
    if setup.is_full() && size as u64 > size_of(fd) {
        return fail(libc::ENOSPC);
    }
    let result = truncate();
    if result == 0 {
        setup.log(b'T', &path, size as u64, b"");
    }
    result
}

fn allocated(fd: c_int, mode: c_int, offset: off_t, bytes: off_t) -> c_int {
    // SAFETY: touches no memory.
    let allocate = || unsafe { syscall(SYS_fallocate, fd, mode, offset, bytes) as c_int };
    let Some((setup, path)) = setup().and_then(|setup| Some((setup, setup.path_of(fd)?))) else {
        return allocate();
    };
    let _guard = lock();
    if setup.is_full() {
        return fail(libc::ENOSPC);
    }
    let before = size_of(fd);
    let result = allocate();
    if result == 0 && size_of(fd) != before {
        setup.log(b'T', &path, size_of(fd), b"");
    }
    result
}

/// Syncing: `S` with the file's length, `D` for a directory.
fn synced(fd: c_int, call: c_long) -> c_int {
    // SAFETY: touches no memory.
    let sync = || unsafe { syscall(call, fd) as c_int };
    let Some((setup, path)) = setup().and_then(|setup| Some((setup, setup.path_of(fd)?))) else {
        return sync();
    };
    let _guard = lock();
    if let Some(control) = setup.eio.as_ref().filter(|control| exists(control)) {
        // SAFETY: the path ends in a zero byte and lives through the call.
        or_abort(unsafe { syscall(SYS_unlink, control.as_ptr()) });
        return fail(libc::EIO);
    }
    let result = sync();
    if result == 0 {
        let found = stat(fd);
        let is_dir = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
        setup.log(if is_dir { b'D' } else { b'S' }, &path, found.st_size.max(0) as u64, b"");
    }
    result
}

/// Moving and removing: `R` with the new path as data, `U`.
///
/// # Safety
///
/// As for `rename`: both paths end in a zero byte.
unsafe fn renamed(from: *const c_char, to: *const c_char) -> c_int {
    let _guard = lock();
    // SAFETY: passed on as the caller gave it.
    let result = unsafe { syscall(SYS_rename, from, to) as c_int };
    // SAFETY: the caller gives paths that end in a zero byte.
    let (from, to) = unsafe { (CStr::from_ptr(from).to_bytes(), CStr::from_ptr(to).to_bytes()) };
    if let Some(setup) = setup().filter(|setup| result == 0 && setup.holds(from)) {
        setup.log(b'R', from, 0, to);
    }
    result
}

/// # Safety
///
/// As for `unlink`: the path ends in a zero byte.
unsafe fn unlinked(path: *const c_char) -> c_int {
    let _guard = lock();
    // SAFETY: passed on as the caller gave it.
    let result = unsafe { syscall(SYS_unlink, path) as c_int };
    // SAFETY: the caller gives a path that ends in a zero byte.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    if let Some(setup) = setup().filter(|setup| result == 0 && setup.holds(name)) {
        setup.log(b'U', name, 0, b"");
    }
    result
}

macro_rules! stand_in {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty { $call:expr })*) => {
        $(
            /// Stands in for the C function of this name.
            ///
            /// # Safety
            ///
            /// As for the C function.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
                // SAFETY: passed on as the caller gave it.
                #[allow(unused_unsafe, reason = "calls without pointers are safe")]
                unsafe { $call }
            }
        )*
    };
}

type Path = *const c_char;
type Bytes = *const c_void;
type Parts = *const iovec;
type Time = *mut libc::timespec;

stand_in! {
    open(path: Path, flags: c_int, mode: mode_t) -> c_int { opened(libc::AT_FDCWD, path, flags, mode) }
    open64(path: Path, flags: c_int, mode: mode_t) -> c_int {
        opened(libc::AT_FDCWD, path, flags | libc::O_LARGEFILE, mode)
    }
    openat(dir: c_int, path: Path, flags: c_int, mode: mode_t) -> c_int { opened(dir, path, flags, mode) }
    write(fd: c_int, bytes: Bytes, count: size_t) -> ssize_t {
        written(fd, [whole(bytes, count)].as_ptr(), 1, None)
    }
    pwrite(fd: c_int, bytes: Bytes, count: size_t, at: off_t) -> ssize_t {
        written(fd, [whole(bytes, count)].as_ptr(), 1, Some(at))
    }
    pwrite64(fd: c_int, bytes: Bytes, count: size_t, at: off_t) -> ssize_t {
        written(fd, [whole(bytes, count)].as_ptr(), 1, Some(at))
    }
    writev(fd: c_int, parts: Parts, count: c_int) -> ssize_t { written(fd, parts, count, None) }
    pwritev(fd: c_int, parts: Parts, count: c_int, at: off_t) -> ssize_t {
        written(fd, parts, count, Some(at))
    }
    pwritev64(fd: c_int, parts: Parts, count: c_int, at: off_t) -> ssize_t {
        written(fd, parts, count, Some(at))
    }
    rename(from: Path, to: Path) -> c_int { renamed(from, to) }
    unlink(path: Path) -> c_int { unlinked(path) }
    ftruncate(fd: c_int, size: off_t) -> c_int { truncated(fd, size) }
    ftruncate64(fd: c_int, size: off_t) -> c_int { truncated(fd, size) }
    fallocate(fd: c_int, mode: c_int, offset: off_t, bytes: off_t) -> c_int {
        allocated(fd, mode, offset, bytes)
    }
    fallocate64(fd: c_int, mode: c_int, offset: off_t, bytes: off_t) -> c_int {
        allocated(fd, mode, offset, bytes)
    }
    fsync(fd: c_int) -> c_int { synced(fd, SYS_fsync) }
    fdatasync(fd: c_int) -> c_int { synced(fd, SYS_fdatasync) }
    clock_gettime(clock: libc::clockid_t, now: Time) -> c_int { clock::told(clock, now) }
}
