//! Figures in the output of a command.
//!
//! Tests and benches print one JSON object a line:
//!
//! ```text
//! {"accept":"durability/sigkill-fjall","figure":40,"unit":"rounds","held":true,"seed":7}
//! {"bench":"crypto","case":"sign","value":1.2,"unit":"us","peer":"npm","ratio":5.1,"held":true}
//! ```
//!
//! A durable figure carries `fsync_ms`, what one fsync cost in the same run. Whatever else stands in
//! the object is kept for the record.

use serde_json::Value as Json;

/// Where the figure of an acceptance line stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Find {
    /// In `{"accept": NAME, "figure": …}`.
    Accept(&'static str),
    /// `ratio` of `{"bench": BENCH, "case": CASE}`.
    Ratio(&'static str, &'static str),
    /// `value` of the same.
    Value(&'static str, &'static str),
    /// The number of passing `compile_fail` doctests whose name holds the text.
    CompileFail(&'static str),
    /// The number of passing tests whose name holds the text.
    Passed(&'static str),
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) figure: Option<f64>,
    pub(crate) unit: String,
    /// What the line says of itself.
    pub(crate) held: Option<bool>,
    pub(crate) fsync_ms: Option<f64>,
    pub(crate) seed: Option<String>,
}

/// The figure in the output; `None` where nobody printed it.
///
/// Where it was printed several times the last one counts, but one that did not hold is enough.
pub(crate) fn find(what: Find, stdout: &[String]) -> Option<Figure> {
    let (key, wanted, case, figure) = match what {
        Find::Accept(name) => ("accept", name, None, "figure"),
        Find::Ratio(bench, case) => ("bench", bench, Some(case), "ratio"),
        Find::Value(bench, case) => ("bench", bench, Some(case), "value"),
        Find::CompileFail(of) => return passing(of, " - compile fail ... ok", "doctests", stdout),
        Find::Passed(of) => return passing(of, " ... ok", "tests", stdout),
    };
    let hits: Vec<Json> = objects(stdout)
        .filter(|object| object[key] == wanted)
        .filter(|object| case.is_none_or(|case| object["case"] == case))
        .collect();
    let last = hits.last()?;
    let verdicts = || hits.iter().filter_map(|object| object["held"].as_bool());
    Some(Figure {
        figure: last[figure].as_f64(),
        unit: if figure == "ratio" {
            "x"
        } else {
            last["unit"].as_str().unwrap_or("")
        }
        .to_owned(),
        held: verdicts().next().map(|_| verdicts().all(|held| held)),
        fsync_ms: last["fsync_ms"].as_f64(),
        seed: last.get("seed").map(ToString::to_string),
    })
}

/// Every JSON object with evidence in it. libtest may print `test name ... ` before it and `ok`
/// after it on the same line, so it is looked for within the line.
pub(crate) fn objects(stdout: &[String]) -> impl Iterator<Item = Json> + '_ {
    stdout.iter().filter_map(|line| {
        let start = ["{\"accept\":", "{\"bench\":"]
            .iter()
            .filter_map(|key| line.find(key))
            .min()?;
        serde_json::Deserializer::from_str(&line[start..])
            .into_iter::<Json>()
            .next()?
            .ok()
    })
}

fn passing(of: &str, end: &str, unit: &str, stdout: &[String]) -> Option<Figure> {
    let passed = stdout
        .iter()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(end))
        .filter(|name| name.contains(of))
        .count();
    (passed > 0).then(|| Figure {
        figure: u32::try_from(passed).ok().map(f64::from),
        unit: unit.to_owned(),
        held: None,
        fsync_ms: None,
        seed: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn reads_accept_lines_between_other_output() {
        let out = lines(
            "running 1 test\n\
             test sigkill ... {\"accept\":\"a/b\",\"figure\":40,\"unit\":\"rounds\",\"seed\":7,\"held\":true}ok\n\
             test result: ok. 1 passed",
        );
        let figure = find(Find::Accept("a/b"), &out).unwrap();
        assert_eq!(figure.figure, Some(40.0));
        assert_eq!(figure.unit, "rounds");
        assert_eq!(figure.held, Some(true));
        assert_eq!(figure.seed.as_deref(), Some("7"));
        assert_eq!(find(Find::Accept("a/c"), &out), None);
    }

    #[test]
    fn reads_bench_lines_by_case() {
        let out = lines(
            "{\"bench\":\"crypto\",\"case\":\"sign\",\"value\":12.5,\"unit\":\"us\",\"peer\":\"npm\",\"peer_value\":50,\"ratio\":4.0,\"goal\":3,\"held\":true}\n\
             {\"bench\":\"store\",\"case\":\"durable-64\",\"value\":20000,\"unit\":\"/s\",\"peer\":null,\"ratio\":null,\"fsync_ms\":0.6}",
        );
        let sign = find(Find::Ratio("crypto", "sign"), &out).unwrap();
        assert_eq!((sign.figure, sign.unit.as_str()), (Some(4.0), "x"));
        let value = find(Find::Value("crypto", "sign"), &out).unwrap();
        assert_eq!((value.figure, value.unit.as_str()), (Some(12.5), "us"));
        let store = find(Find::Value("store", "durable-64"), &out).unwrap();
        assert_eq!((store.fsync_ms, store.held), (Some(0.6), None));
        // Printed, but without the figure that was asked for.
        assert_eq!(
            find(Find::Ratio("store", "durable-64"), &out)
                .unwrap()
                .figure,
            None
        );
        assert_eq!(find(Find::Ratio("crypto", "seal"), &out), None);
        assert_eq!(find(Find::Ratio("store", "sign"), &out), None);
    }

    #[test]
    fn one_that_did_not_hold_is_enough() {
        let out = lines(
            "{\"accept\":\"a\",\"figure\":1,\"held\":false}\n{\"accept\":\"a\",\"figure\":2,\"held\":true}",
        );
        let figure = find(Find::Accept("a"), &out).unwrap();
        assert_eq!((figure.figure, figure.held), (Some(2.0), Some(false)));
    }

    #[test]
    fn what_is_not_json_is_no_evidence() {
        for text in [
            "{\"accept\":\"a\"",
            "{\"accept\":a}",
            "accept a held",
            "",
            "{}",
        ] {
            assert_eq!(find(Find::Accept("a"), &lines(text)), None, "{text}");
        }
    }

    #[test]
    fn counts_compile_fail_doctests() {
        let out = lines(
            "test flexstore/core/src/record.rs - record::Signed (line 9) - compile fail ... ok\n\
             test flexstore/core/src/record.rs - record::Signed (line 19) - compile fail ... FAILED\n\
             test flexstore/core/src/tag.rs - tag::Tag (line 18) ... ok",
        );
        assert_eq!(
            find(Find::CompileFail("Signed"), &out).unwrap().figure,
            Some(1.0)
        );
        assert_eq!(find(Find::CompileFail("Tag"), &out), None);
    }
}
