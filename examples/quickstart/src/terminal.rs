//! A progress bar where somebody watches, a line now and then where nobody does.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(2);

/// How far something is.
pub(crate) struct Bar {
    bar: ProgressBar,
    label: String,
    said: Instant,
}

impl Bar {
    pub(crate) fn new(label: impl Into<String>, total: u64) -> Self {
        let label = label.into();
        let bar = ProgressBar::new(total);
        let template = "     {msg:30} [{bar:22}] {human_pos:>6} of {human_len}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.clone());
        Self {
            bar,
            label,
            said: Instant::now(),
        }
    }

    /// So many are done.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.bar.is_hidden() && self.said.elapsed() > EVERY {
            self.said = Instant::now();
            println!(
                "     {}: {} of {}",
                self.label,
                grouped(done),
                grouped(total)
            );
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// 12345 as `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The time of day, in UTC.
pub(crate) fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1000)
}

/// Fills lines of up to 80 columns, all but the first after `indent` spaces.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > indent && column + 1 + width > 80 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn no_line_is_longer_than_80() {
        let text = "word ".repeat(60);
        let lines = wrapped(text.trim(), 5);
        for (at, line) in lines.lines().enumerate() {
            let first = if at == 0 { 5 } else { 0 };
            assert!(line.len() + first <= 80, "{line}");
        }
        assert_eq!(lines.split_whitespace().count(), 60);
    }
}
