use std::time::Duration;

/// When to dial again after a link ended or none could be made: waits double from
/// [`Backoff::LEAST`] to [`Backoff::MOST`], each cut by chance to between a half and all of it, so
/// that many peers of one service do not come back in one moment.
///
/// ```
/// use std::time::Duration;
/// use flexstore_core::link::Backoff;
///
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.wait(255), Backoff::LEAST);
/// assert_eq!(backoff.wait(0), Backoff::LEAST); // half of twice as much
/// for _ in 0..20 {
///     backoff.wait(128);
/// }
/// assert_eq!(backoff.wait(255), Backoff::MOST);
/// backoff.held(Duration::from_secs(60));
/// assert_eq!(backoff.wait(255), Backoff::LEAST);
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: Self::LEAST }
    }
}

impl Backoff {
    /// The first wait.
    pub const LEAST: Duration = Duration::from_millis(100);
    /// The longest wait.
    pub const MOST: Duration = Duration::from_secs(30);
    /// After how long a link counts as one that held.
    pub const HELD: Duration = Duration::from_secs(1);

    /// How long to wait now; `random` is any byte, as likely as any other.
    pub fn wait(&mut self, random: u8) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(Self::MOST);
        (whole / 2) + (whole / 2).mul_f64(f64::from(random) / 255.0)
    }

    /// A link ended that stood for so long: one that held was not the problem.
    pub fn held(&mut self, stood: Duration) {
        if stood > Self::HELD {
            self.next = Self::LEAST;
        }
    }
}
