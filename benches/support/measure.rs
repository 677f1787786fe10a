//! What a process costs: elapsed time, CPU time and peak memory, of it and of all that it starts.
//!
//! The system tells the last two of all children of a process together. So each measured command is started by a helper,
//! this same program again, that has no other child.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

const HELPER: &str = "--measure";

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) elapsed: Duration,
    /// Of user and system, over all threads and processes.
    pub(crate) cpu: Duration,
    /// The most memory that one process had at a time, in bytes.
    pub(crate) peak: u64,
}

/// Does the helper's part, where this process is one.
pub(crate) fn serve() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != HELPER) {
        return false;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let start = Instant::now();
    let status = Command::new(&arguments[0]).args(&arguments[1..]).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let elapsed = start.elapsed();
    let is_success = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    if !is_success {
        eprintln!("{status:?}");
        std::process::exit(1);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the children's usage");
    println!("{} {} {}", elapsed.as_nanos(), cpu(&usage).as_nanos(), peak(&usage));
    true
}

/// What a command takes, which must succeed. What it prints is thrown away.
pub(crate) fn cost_of(command: &Command) -> Cost {
    let mut helper = Command::new(std::env::current_exe().expect("this program's own path"));
    helper.arg(HELPER).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => helper.env(name, value),
            None => helper.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        helper.current_dir(directory);
    }
    let output = helper.output().expect("the helper starts");
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [elapsed, cpu, peak] = numbers.as_slice().try_into().expect("three numbers");
    Cost { elapsed: Duration::from_nanos(elapsed), cpu: Duration::from_nanos(cpu), peak }
}

/// What `work` takes in this process.
pub(crate) fn cost_here<T>(work: impl FnOnce() -> T) -> Cost {
    let usage = || cpu(&getrusage(UsageWho::RUSAGE_SELF).expect("this process's usage"));
    let (start, before) = (Instant::now(), usage());
    std::hint::black_box(work());
    Cost { elapsed: start.elapsed(), cpu: usage() - before, peak: 0 }
}

fn cpu(usage: &Usage) -> Duration {
    let duration = |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    duration(usage.user_time()) + duration(usage.system_time())
}

/// Linux counts in KiB (getrusage(2)).
fn peak(usage: &Usage) -> u64 {
    u64::try_from(usage.max_rss()).unwrap_or(0) * 1024
}
