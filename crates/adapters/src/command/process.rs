//! A process of this machine, told apart from a later one with the same number.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

/// A process: its number, and when it started in ticks since the machine did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    started: u64,
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    process: Process,
    state: char,
    group: i32,
}

/// Reads a line of `/proc/PID/stat`: the number, the name in brackets (which may hold anything,
/// brackets too), then the other fields; see proc_pid_stat(5).
fn stat(line: &str) -> Option<Stat> {
    let (pid, _) = line.split_once(' ')?;
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
    Some(Stat { process: Process { pid, started }, state, group })
}

fn look(pid: i32) -> Option<Stat> {
    stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl Process {
    /// The process that a line of `/proc/PID/stat` is about.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        stat(line).map(|stat| stat.process)
    }

    /// Whether it is this very process that runs. A zombie runs no more.
    pub(crate) fn lives(&self) -> bool {
        look(self.pid).is_some_and(|stat| stat.process == *self && !"ZXx".contains(stat.state))
    }

    /// Sends a signal to the group that this process leads or led, which the caller has just
    /// seen alive. Gone already: nothing happens.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// The live processes in the group that `leader` leads or led which carry `name=value` in their
/// environment: a group with the same number that belongs to somebody else has none.
pub(crate) fn tagged_group(leader: &Process, name: &str, value: &str) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let tag = format!("{name}={value}");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(look)
        .filter(|stat| stat.group == leader.pid && !"ZXx".contains(stat.state))
        .filter(|stat| has_tag(stat.process.pid, tag.as_bytes()))
        .map(|stat| stat.process)
        .collect()
}

fn has_tag(pid: i32, tag: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == tag))
}

/// Changes with every start of the machine.
pub(crate) fn boot_id() -> String {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_over() {
        let line = "42 (a) (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1234 1 1";
        let stat = stat(line).unwrap();
        assert_eq!((stat.process.pid, stat.process.started), (42, 1234));
        assert_eq!((stat.state, stat.group), ('S', 42));
        for bad in [
            "",
            "42",
            "42 (a",
            "42 (a) S 1",
            "-1 (a) S 1 42 42 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 1 1",
        ] {
            assert!(Process::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn this_process_lives_and_one_with_its_number_does_not() {
        let line = fs::read_to_string("/proc/self/stat").unwrap();
        let this = Process::parse(&line).unwrap();
        assert!(this.lives());
        assert!(!Process { started: this.started + 1, ..this }.lives());
        assert!(!boot_id().is_empty());
    }
}
