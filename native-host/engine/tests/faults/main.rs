//! The fault table: what servers do wrong, and what comes of it: the right file or an honest error, never a wrong file
//! and never a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod case;
mod names;
mod ranges;
mod resumed;
#[path = "../support/mod.rs"]
mod support;
mod whole;

use futures_util::{StreamExt as _, stream};

use case::{Case, Verdict};

const MIB: usize = 1 << 20;
/// Each case runs with so many seeds, from which sizes, cuts and pieces follow; `WEIR_FAULT_SEEDS` asks for more.
const SEEDS: u64 = 3;
/// Cases at the same time; most of them wait.
const TOGETHER: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_makes_a_wrong_file() {
    let cases: Vec<Case> =
        [ranges::CASES, whole::CASES, resumed::CASES, names::CASES, access::CASES].concat();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let seeds = std::env::var("WEIR_FAULT_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let runs = cases.iter().flat_map(|case| (1..=seeds).map(move |seed| (case, seed)));
    let mut verdicts: Vec<(&str, u64, Verdict)> = stream::iter(runs)
        .map(|(case, seed)| async move { (case.name, seed, case.run(seed).await) })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    verdicts.sort_by_key(|(name, seed, _)| (names.binary_search(name).unwrap(), *seed));
    let (mut right, mut honest, mut wrong, mut unexpected) = (0, 0, 0, Vec::new());
    println!("{:<58} {:>5} {:>6} {:>5}", "case", "right", "honest", "wrong");
    for of_case in verdicts.chunk_by(|a, b| a.0 == b.0) {
        let count = |of: fn(&Verdict) -> bool| of_case.iter().filter(|(.., verdict)| of(verdict)).count();
        let row = (count(Verdict::is_right), count(Verdict::is_honest), count(Verdict::is_wrong));
        let words = of_case[0].2.words();
        println!("{:<58} {:>5} {:>6} {:>5}  {words}", of_case[0].0, row.0, row.1, row.2);
        (right, honest, wrong) = (right + row.0, honest + row.1, wrong + row.2);
        unexpected.extend(of_case.iter().filter(|(.., verdict)| verdict.is_unexpected()));
    }
    println!(
        "{} cases, {} runs: {right} right, {honest} honest errors, {wrong} wrong",
        cases.len(),
        verdicts.len()
    );
    assert_eq!(wrong, 0, "{unexpected:#?}");
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}
