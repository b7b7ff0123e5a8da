//! What is printed.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// The cost of an fsync, in ms, at which durable goals are meant literally.
const FSYNC_MS: f64 = 0.3;

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

/// One measured case.
pub(crate) struct Line {
    pub(crate) bench: &'static str,
    pub(crate) case: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// Whom it is compared with, and that one's figure; the goal is then for the ratio.
    pub(crate) peer: Option<(&'static str, f64)>,
    pub(crate) goal: Goal,
    /// Of a durable figure, what one fsync costs: the goal scales with it.
    pub(crate) fsync_ms: Option<f64>,
    /// Whatever else is worth knowing.
    pub(crate) more: Map<String, Value>,
}

impl Line {
    pub(crate) fn new(
        bench: &'static str,
        case: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            bench,
            case: case.into(),
            value,
            unit,
            peer: None,
            goal: Goal::None,
            fsync_ms: None,
            more: Map::new(),
        }
    }

    pub(crate) const fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    pub(crate) const fn peer(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some((name, value));
        self
    }

    pub(crate) const fn fsync(mut self, ms: f64) -> Self {
        self.fsync_ms = Some(ms);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.map(|(_, value)| self.value / value)
    }

    fn held(&self) -> Option<bool> {
        let figure = self.ratio().unwrap_or(self.value);
        let slowness = self.fsync_ms.map_or(1.0, |ms| (ms / FSYNC_MS).max(1.0));
        match self.goal {
            Goal::AtLeast(least) => Some(figure >= least / slowness),
            Goal::AtMost(most) => Some(figure <= most * slowness),
            Goal::None => None,
        }
    }

    fn json(&self, quick: bool) -> Value {
        let goal = match self.goal {
            Goal::AtLeast(goal) | Goal::AtMost(goal) => Some(goal),
            Goal::None => None,
        };
        let mut object = json!({
            "bench": self.bench,
            "case": self.case,
            "value": rounded(self.value),
            "unit": self.unit,
            "peer": self.peer.map(|(name, _)| name),
            "peer_value": self.peer.map(|(_, value)| rounded(value)),
            "ratio": self.ratio().map(rounded),
            "goal": goal,
            "held": self.held(),
        });
        if let Value::Object(object) = &mut object {
            if let Some(ms) = self.fsync_ms {
                object.insert("fsync_ms".to_owned(), rounded(ms).into());
            }
            if quick {
                object.insert("quick".to_owned(), true.into());
                // Speed at these sizes proves nothing.
                object.insert("held".to_owned(), Value::Null);
            }
            object.extend(self.more.clone());
        }
        object
    }
}

/// All that was measured.
pub(crate) struct Report {
    pub(crate) quick: bool,
    only: Option<String>,
    lines: usize,
    missed: usize,
    broken: usize,
}

impl Report {
    pub(crate) const fn new(quick: bool, only: Option<String>) -> Self {
        Self {
            quick,
            only,
            lines: 0,
            missed: 0,
            broken: 0,
        }
    }

    /// Whether the case is asked for.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == case)
    }

    /// One of two sizes.
    pub(crate) const fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    pub(crate) fn line(&mut self, line: &Line) {
        if !self.wants(&line.case) {
            return;
        }
        println!("{}", json_line(&line.json(self.quick)));
        let verdict = match (self.quick, line.held()) {
            (false, Some(true)) => "held",
            (false, Some(false)) => "NOT HELD",
            _ => "",
        };
        let goal = match line.goal {
            Goal::AtLeast(goal) => format!(">= {goal}"),
            Goal::AtMost(goal) => format!("<= {goal}"),
            Goal::None => String::new(),
        };
        let ratio = line
            .ratio()
            .map_or_else(String::new, |ratio| format!("{ratio:.2}x"));
        eprintln!(
            "{:<10} {:<18} {:>12} {:<8} {:>8} {:<10} {verdict}",
            line.bench,
            line.case,
            rounded(line.value),
            line.unit,
            ratio,
            goal
        );
        self.lines += 1;
        self.missed += usize::from(!self.quick && line.held() == Some(false));
    }

    /// A case could not be run.
    pub(crate) fn broken(&mut self, why: &str) {
        eprintln!("could not be run: {why}");
        self.broken += 1;
    }

    pub(crate) fn end(&self) -> ExitCode {
        if self.lines == 0 {
            eprintln!("no such case");
        }
        if self.missed > 0 {
            eprintln!("{} of {} did not hold", self.missed, self.lines);
        }
        if self.broken > 0 || self.missed > 0 || self.lines == 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// With `bench` first, which is how a figure is told from other output.
fn json_line(object: &Value) -> String {
    let text = object.to_string();
    let bench = format!("\"bench\":{}", object["bench"]);
    let rest = text.replacen(&format!("{bench},"), "", 1);
    format!("{{{bench},{}", rest.trim_start_matches('{'))
}

/// Four digits are more than the noise leaves.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
