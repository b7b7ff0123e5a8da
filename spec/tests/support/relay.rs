//! The relay's binary as a child process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The binary: that of `FLEXSTORE_RELAY`, or else the one beside this test, built first.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("FLEXSTORE_RELAY") {
            return path.into();
        }
        // target/PROFILE/deps/test-HASH
        let this = std::env::current_exe().unwrap();
        let profile = this.parent().and_then(Path::parent).unwrap();
        let name = profile.file_name().unwrap();
        let name = if name == "debug" {
            "dev".as_ref()
        } else {
            name
        };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "flexstore-relay", "--profile"])
            .arg(name)
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .env("CARGO_TARGET_DIR", profile.parent().unwrap())
            .status()
            .unwrap();
        assert!(built.success(), "the relay does not build");
        profile.join("flexstore-relay")
    })
}

/// A running relay; killed when dropped.
pub struct Relay {
    child: Child,
    pub address: String,
}

impl Relay {
    pub fn start(data: &Path, more: &[&str]) -> Self {
        Self::try_start("127.0.0.1:0", data, more).unwrap()
    }

    /// With a configuration, written to a folder in which the data directory is `data`.
    pub fn configured(folder: &Path, text: &str) -> Result<Self, String> {
        let config = folder.join("relay.toml");
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let data = folder.join("data");
        Self::try_start("127.0.0.1:0", &data, &["--config", config])
    }

    /// Under strace, which writes the names of all files that are touched.
    pub fn start_traced(data: &Path, trace: &Path) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o"]);
        strace.arg(trace).arg(binary());
        Self::spawn(strace, "127.0.0.1:0", data, &[]).unwrap()
    }

    /// On an address of one's choice; what it said on stderr if it did not start.
    pub fn try_start(listen: &str, data: &Path, more: &[&str]) -> Result<Self, String> {
        Self::spawn(Command::new(binary()), listen, data, more)
    }

    /// With so many file descriptors.
    pub fn start_with_descriptors(count: usize, data: &Path) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(binary());
        Self::spawn(shell, "127.0.0.1:0", data, &[]).unwrap()
    }

    /// With everything that it can log in a file.
    pub fn start_with_log(data: &Path, log: &Path) -> Self {
        let mut shell = Command::new("sh");
        let script = "RUST_LOG=trace exec \"$0\" \"$@\" 2>>\"$LOG\"";
        shell.args(["-c", script]).arg(binary()).env("LOG", log);
        Self::spawn(shell, "127.0.0.1:0", data, &[]).unwrap()
    }

    fn spawn(
        mut command: Command,
        listen: &str,
        data: &Path,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut child = command
            .args(["--listen", listen, "--data"])
            .arg(data)
            .args(more)
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or("warn".into()),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let Some(address) = line
            .trim_end()
            .strip_prefix("flexstore-relay listening on ")
        else {
            let mut words = String::new();
            stderr.read_to_string(&mut words).unwrap();
            let status = child.wait().unwrap();
            return Err(format!("{status}: {line}{words}"));
        };
        let address = address.to_owned();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
        // Nothing but the one line is expected; an open pipe keeps a second one from failing.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::stderr()));
        Ok(Self { child, address })
    }

    pub fn service(&self) -> String {
        format!("ws://{}/flexstore", self.address)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the relay does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib: u64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        kib << 10
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// The whole answer to a request written as given.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n"
        ))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
