//! The program itself, as an operator starts it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal};

use super::Client;
use super::server::KEY;

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) client: Client,
    pub(crate) url: String,
}

fn command(folder: &Path, values: &[(&str, &str)]) -> Command {
    command_of(
        env!("CARGO_BIN_EXE_cluster-server").as_ref(),
        folder,
        values,
    )
}

fn command_of(program: &Path, folder: &Path, values: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .current_dir(folder)
        .envs([
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("CLIENT_API_KEY", KEY),
        ])
        .env("DATA_DIR", folder.join("data"))
        .envs(values.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Runs it to an end that comes by itself.
pub(crate) fn run_to_end(folder: &Path, values: &[(&str, &str)], args: &[&str]) -> Output {
    command(folder, values).args(args).output().unwrap()
}

/// Starts it on a terminal; what it shows there up to the line that says where it listens. It is
/// killed then.
pub(crate) fn shown_on_terminal(folder: &Path, values: &[(&str, &str)]) -> Vec<String> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap());
    let mut child = command(folder, values)
        .env_remove("CLIENT_API_KEY")
        .stdout(terminal.unwrap())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(File::from(controller)).lines() {
        let line = line.unwrap();
        if line.starts_with("Listening on ") {
            break;
        }
        lines.push(line.trim_end_matches('\r').to_owned());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines
}

impl Process {
    /// Starts it in a folder and waits until it listens.
    pub(crate) fn start(folder: &Path, values: &[(&str, &str)]) -> Self {
        Self::run(command(folder, values))
    }

    /// As [`Self::start`], with a program of another version.
    pub(crate) fn start_program(program: &Path, folder: &Path, values: &[(&str, &str)]) -> Self {
        Self::run(command_of(program, folder, values))
    }

    /// As [`Self::start`]; what it logs goes to a file.
    pub(crate) fn start_with_log(folder: &Path, values: &[(&str, &str)], log: File) -> Self {
        let mut command = command(folder, values);
        command.stderr(log);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().expect("it is piped");
        let line = BufReader::new(stdout)
            .lines()
            .next()
            .expect("a line")
            .unwrap();
        let url = line.strip_prefix("Listening on ").expect(&line).to_owned();
        Self {
            child,
            client: Client::new(&url, KEY),
            url,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
