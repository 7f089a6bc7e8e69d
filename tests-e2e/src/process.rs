//! Child processes that cannot be left behind.
//!
//! Each child leads a process group of its own, so that a Ctrl-C meant for us does not reach it
//! before we end it in order, and so that ending it ends whatever it has started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const POLL: Duration = Duration::from_millis(10);

/// The unit of `/proc`, whatever the kernel's own is.
const TICK_MS: u64 = 10;

/// A child and its process group. Dropping it kills the group.
#[derive(Debug)]
pub struct OwnedProcess {
    child: Child,
    status: Option<ExitStatus>,
}

impl OwnedProcess {
    /// Starts `command` as leader of a new process group.
    ///
    /// # Errors
    /// Those of starting a process.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        Ok(Self {
            child,
            status: None,
        })
    }

    /// The process id, which is the id of its group too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, for taking its pipes.
    pub fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits until it ends; `None` if it has not within `limit`.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn wait_for(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            match self.try_wait()? {
                None if Instant::now() < deadline => std::thread::sleep(POLL),
                ended_or_late => return Ok(ended_or_late),
            }
        }
    }

    /// Asks it to end (SIGTERM), waits for `grace`, then kills what is left of the group.
    /// Returns how the leader ended.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        if self.try_wait()?.is_none() {
            // It may end by itself in this instant; then there is nothing to signal.
            let _ = kill_process(self.pid(), Signal::TERM);
            self.wait_for(grace)?;
        }
        self.kill()
    }

    /// Stops it in its tracks (SIGSTOP) for a time; it knows nothing of it.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self, time: Duration) -> io::Result<()> {
        kill_process(self.pid(), Signal::STOP)?;
        std::thread::sleep(time);
        Ok(kill_process(self.pid(), Signal::CONT)?)
    }

    /// Stops the whole group for a time, as a device that sleeps.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze_group(&self, time: Duration) -> io::Result<()> {
        kill_process_group(self.pid(), Signal::STOP)?;
        std::thread::sleep(time);
        Ok(kill_process_group(self.pid(), Signal::CONT)?)
    }

    /// Processor time that the living processes of the group have used, as Linux tells it.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn processor_time_of_group(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            // What is no process has none, and a process may end while it is looked at.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            ticks += ticks_in_group(&stat, self.id()).unwrap_or_default();
        }
        Ok(Duration::from_millis(ticks * TICK_MS))
    }

    /// Kills the whole group (SIGKILL) and reaps the leader.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        // Fails only if no process of the group is left, which is what is wanted.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// Ticks that a process has used, by its line of `/proc/<pid>/stat`, if it is of this group.
fn ticks_in_group(stat: &str, group: u32) -> Option<u64> {
    // The name stands in parentheses and may hold anything; the state comes after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    (number(2)? == u64::from(group)).then_some(number(11)? + number(12)?)
}

/// Whether this program runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Drop for OwnedProcess {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and nothing needs to: the child is gone then.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    use super::*;

    fn shell(script: &str) -> OwnedProcess {
        OwnedProcess::spawn(Command::new("sh").args(["-c", script])).unwrap()
    }

    fn is_running(pid: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn dropping_a_process_ends_what_it_started() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display();
        let process = shell(&format!("sleep 600 & echo $! > {path}; wait"));
        let grandchild: u32 = loop {
            let text = std::fs::read_to_string(file.path()).unwrap();
            if let Ok(pid) = text.trim().parse() {
                break pid;
            }
        };
        assert!(is_running(grandchild));
        drop(process);
        while is_running(grandchild) && !is_zombie(grandchild) {
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn processor_time_is_read_of_a_group_whatever_its_programs_are_called() {
        let stat = "12 (a) b) S 1 34 34 0 -1 4 1 2 3 4 50 7 9 9 20 0 1";
        assert_eq!(ticks_in_group(stat, 34), Some(57));
        assert_eq!(ticks_in_group(stat, 35), None);
        assert_eq!(ticks_in_group("", 34), None);
    }

    fn is_zombie(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn a_polite_process_ends_with_its_own_status() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        ]);
        let mut process = OwnedProcess::spawn(command.stdout(Stdio::piped())).unwrap();
        let mut stdout = BufReader::new(process.child_mut().stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let status = process.stop(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
