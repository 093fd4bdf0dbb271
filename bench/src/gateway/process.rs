//! A server under test as processes: processor time and memory of the whole tree.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started server; it is ended when this value goes.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it. What it says goes to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Process, String> {
        let file = std::fs::File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let out = file.try_clone().map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// Processor time of the tree so far, in microseconds.
    pub fn cpu_micros(&self) -> f64 {
        self.tree().into_iter().map(cpu_micros).sum()
    }

    /// Resident memory of the tree, in KiB.
    pub fn resident_kib(&self) -> f64 {
        self.tree().into_iter().map(resident_kib).sum()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} ended: {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Asks it to end, and insists that it ends well.
    pub fn end(mut self, limit: Duration) -> Result<(), String> {
        self.signal(rustix::process::Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return if status.success() { Ok(()) } else { Err(format!("{} ended: {status}", self.name)) };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{} did not end within {limit:?}", self.name))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn tree(&self) -> Vec<u32> {
        let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.first()?.parse().ok()?)))
            .collect();
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while at < tree.len() {
            let parent = tree[at];
            tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(rustix::process::Signal::TERM);
            let since = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The fields of `/proc/PID/stat` behind the name: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    Some(behind.split_whitespace().skip(1).map(str::to_owned).collect())
}

/// utime + stime, whose sum the kernel keeps to the tick of 10 ms.
fn cpu_micros(pid: u32) -> f64 {
    let Some(fields) = stat(pid) else { return 0.0 };
    let ticks = |nth: usize| -> f64 { fields.get(nth).and_then(|text| text.parse().ok()).unwrap_or(0.0) };
    (ticks(10) + ticks(11)) * 10_000.0
}

fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
