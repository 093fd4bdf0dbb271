//! The wall clock, wrong by as much as a file says. The monotonic clock is never touched.

use libc::{SYS_clock_gettime, SYS_close, SYS_openat, SYS_read, c_int, c_long, clockid_t, syscall, timespec};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

/// # Safety
///
/// As for `clock_gettime`: `now` points at a place for the time.
pub unsafe fn told(clock: clockid_t, now: *mut timespec) -> c_int {
    // SAFETY: passed on as the caller gave it.
    let result = unsafe { syscall(SYS_clock_gettime, clock, now) as c_int };
    let is_wall = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE);
    if result == 0
        && is_wall
        && let Some(control) = control()
    {
        // SAFETY: the system has just written there.
        unsafe { (*now).tv_sec += seconds(control) };
    }
    result
}

fn control() -> Option<&'static CStr> {
    static CONTROL: OnceLock<Option<CString>> = OnceLock::new();
    let find = || CString::new(std::env::var_os("FAULTFS_CLOCK")?.as_bytes()).ok();
    CONTROL.get_or_init(find).as_deref()
}

/// What the file says, as decimal digits; nothing is wrong while it is not there.
fn seconds(control: &CStr) -> i64 {
    let mut text = [0_u8; 32];
    // SAFETY: the path ends in a zero byte, and the buffer has the length that is given.
    let length = unsafe {
        let fd: c_long =
            syscall(SYS_openat, libc::AT_FDCWD, control.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return 0;
        }
        let length = syscall(SYS_read, fd, text.as_mut_ptr(), text.len());
        syscall(SYS_close, fd);
        length
    };
    let text = text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
